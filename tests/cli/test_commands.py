"""The table of commands."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from turbo_lab.cli.commands import COMMANDS
from turbo_lab.cli.main import main


def test_every_command_of_the_table_is_in_the_module_of_its_name() -> None:
    assert [import_module(f"turbo_lab.cli.{name}").command.name for name in COMMANDS] == [*COMMANDS]


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert all(f"  {name} " in text and summary in text for name, summary in COMMANDS.items())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_line_of_a_commands_overview_is_cut(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if re.search(r"\w\.\.\.$", line)] == []
