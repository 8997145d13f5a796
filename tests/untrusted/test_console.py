"""A console that keeps our styles and escapes other people's control characters."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from turbo_lab.untrusted.console import console
from turbo_lab.untrusted.printable import PrintableStream


def test_styles_reach_the_terminal_and_other_escapes_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buffer = io.StringIO()
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = console(buffer, width=80)
    terminal.print("[bold]ours[/bold] \x1b[31mtheirs", highlight=False)
    assert "\x1b[1m" in buffer.getvalue()
    assert "\\x1b[31mtheirs" in buffer.getvalue()


@given(st.text(st.characters()))
def test_no_cell_of_a_table_acts_upon_a_terminal(text: str) -> None:
    buffer = io.StringIO()
    table = Table("name")
    table.add_row(text.replace("[", "("))
    console(buffer, width=200).print(table)
    assert not any(mark in buffer.getvalue() for mark in ("\x1b", "\x07", "\x9b", "\u202e", "\r"))


def test_a_stream_that_escapes_is_unwrapped_so_that_styles_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    buffer = io.StringIO()
    console(PrintableStream(buffer), width=80).print("[bold]ours[/bold]")
    assert buffer.getvalue() == "\x1b[1mours\x1b[0m\n"


def test_a_closed_pipe_is_an_error_of_the_caller() -> None:
    class ClosedPipe(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        console(ClosedPipe(), width=80).print("a line")
