"""Options of the commands that make environments."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from turbo_lab.cli.environment_options import environment_options


@click.command()
@environment_options
def shown(pre: bool, installer: str, timeout: float, output: Path | None) -> None:
    click.echo((pre, installer, timeout, output))


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], (False, "auto", 600.0, None)),
        (
            ["--pre", "--installer", "pip", "--timeout", "5", "--output", "out"],
            (True, "pip", 5.0, Path("out")),
        ),
    ],
)
def test_values(words: list[str], values: tuple[object, ...]) -> None:
    assert CliRunner().invoke(shown, words).output.strip() == str(values)


@pytest.mark.parametrize("words", [["--timeout", "0"], ["--installer", "conda"]])
def test_wrong_values_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(shown, words).exit_code == 2
