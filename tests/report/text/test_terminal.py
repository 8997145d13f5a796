"""The terminal that tables are printed to."""

from __future__ import annotations

import io
import sys

import pytest
from rich.table import Table

from turbo_lab.report.text.terminal import open_console


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_file_or_pipe_has_a_fixed_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert open_console().width == 120


def test_a_terminal_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert open_console().width == 40


def test_tables_are_printed_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row("\x1b[31mred")
    open_console().print(table)
    assert "\\x1b[31mred" in capsys.readouterr().out
