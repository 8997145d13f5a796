"""Tables say which cell is best, in which direction, and what a figure lacks."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.report.results import sweep_result
from turbo_lab.report.brief import _interval
from turbo_lab.report.markdown import sweep_markdown
from turbo_lab.report.text.tables import sweep_table


def test_best_follows_each_figures_direction() -> None:
    page = sweep_markdown(sweep_result(None)).splitlines()
    lines = page[page.index("") + 3 :]
    assert lines[0].startswith("| steps | guidance | clip_score ↑ | fd/nano-clip ↓ | p50 ms ↓ |")
    first, second, failed, last = lines[2:6]
    assert "**100 (n=6)**" in first and "**10**" in first
    assert "**" not in second
    assert failed == "| 2 | 0 | - | - | - | - |"
    assert "**0.8 ±0.1**" in last and "**6 (1)**" in last
    assert lines[7] == "(1) fd/nano-clip: too few"


def test_terminal_table_stars_the_best_without_colour() -> None:
    console = Console(width=120, record=True, file=io.StringIO(), color_system=None)
    sweep_table(sweep_result(None), console)
    text = console.export_text()
    assert "0.8 ±0.1*" in text
    assert "failed" in text
    assert "5 requested, equal ones merged" in text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.5, 0.4, 0.6, " ±0.1"),
        (57.2, 20.4, 54.4, " [20.4, 54.4]"),  # a basic bootstrap of a biased figure
        (0.9, 0.7, 0.95, " [0.7, 0.95]"),
    ],
)
def test_an_interval_is_only_called_plus_minus_where_it_is(
    value: float, low: float, high: float, text: str
) -> None:
    assert _interval(value, low, high) == text
