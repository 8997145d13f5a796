"""Histories on the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from tests.history.entries import entries, stepped
from turbo_lab.history.series import show, simulate
from turbo_lab.report.text.history import print_history, print_simulation


def printed(width: int = 80) -> tuple[Console, io.StringIO]:
    """Return a console and what it prints."""
    text = io.StringIO()
    return Console(file=text, width=width, color_system=None), text


def test_a_figure_per_row_and_a_line_per_change() -> None:
    console, text = printed()
    print_history(show(entries(stepped(), name="[b]latency[/b]")), console)
    lines = text.getvalue().splitlines()
    assert lines[0].split() == ["figure", "of", "entries", "latest", "last", "change"]
    assert lines[1].split()[:3] == ["[b]latency[/b]", "num_images=1", "40"]
    assert lines[2].startswith("[b]latency[/b] (num_images=1): step at ")


def test_a_simulation_is_a_table() -> None:
    console, text = printed()
    print_simulation(simulate([12], 0.05, runs=20), console)
    first, none, *_ = text.getvalue().splitlines()
    assert first.split()[:2] == ["entries", "step,"]
    assert none.split()[:2] == ["12", "none"]
