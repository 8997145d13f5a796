"""``--help`` of every command: all flags are listed, and no name is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from turbo_lab.cli.commands import turbo_lab
from turbo_lab.cli.help import HelpContext, HelpFormatter
from turbo_lab.cli.main import main


def commands(group: click.Group = turbo_lab, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and subcommand."""
    yield path
    context = click.Context(group, info_name="turbo-lab")
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, *path, name)
        else:
            yield (*path, name)


PATHS = sorted(commands())


def command_of(path: tuple[str, ...]) -> click.Command:
    found: click.Command = turbo_lab
    for name in path:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None
        found = inner
    return found


def help_of(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*path, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_flag_is_listed_and_no_name_is_cut(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(path, capsys)
    options = [one for one in command_of(path).params if isinstance(one, click.Option)]
    flags = {flag for one in options for flag in one.opts}
    assert {flag for flag in flags if not re.search(rf"(?<![\w-]){flag}\b", text)} == set()
    assert [line for line in text.splitlines() if re.search(r"\w-$", line)] == []


def test_gate_lists_the_options_that_it_takes_without_the_word_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = help_of(("gate",), capsys)
    for flag in ("--fresh", "--junit", "--markdown", "--html", "--json", "--cfg"):
        assert flag in text


def test_a_long_list_of_names_breaks_at_spaces_only() -> None:
    names = [f"sdxl-lightning-{n}step-lora" for n in range(9)]
    formatter = HelpFormatter(width=60)
    formatter.write_dl([("model=", ", ".join(names))])
    formatter.write_text(" ".join(names))
    assert re.findall(r"[\w-]+lora", formatter.getvalue()) == [*names, *names]


def test_clicks_own_layout_would_cut_them() -> None:
    formatter = click.HelpFormatter(width=60)
    formatter.write_text(" ".join(f"sdxl-lightning-{n}step-lora" for n in range(9)))
    assert re.search(r"\w-$", formatter.getvalue(), flags=re.M)
    assert issubclass(HelpContext.formatter_class, HelpFormatter)
