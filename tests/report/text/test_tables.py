"""Tables say which cell is best, in which direction, and what a figure lacks."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tests.report.results import ENERGY, TIMING, latency, sweep_result
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.documents.timing import BenchCell
from turbo_lab.report.brief import _interval
from turbo_lab.report.markdown import sweep_markdown
from turbo_lab.report.text.tables import bench_table, sweep_table
from turbo_lab.store.record import CellStatus


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


def with_energy(sweep: SweepResult) -> SweepResult:
    """Return the sweep with the energy of its first cell, by a counter, and its last, by power."""
    first, *middle, last = sweep.cells
    assert first.timing is not None and last.timing is not None
    counted = replace(first, timing=replace(first.timing, energy=ENERGY))
    estimated = replace(ENERGY, joules_per_image=20.0, ci95=None, method="power")
    by_power = replace(last, timing=replace(last.timing, energy=estimated))
    return replace(sweep, cells=(counted, *middle, by_power))


def test_energy_is_a_column_with_its_interval_and_says_how_it_was_measured() -> None:
    plain = sweep_markdown(sweep_result(None))
    assert "J/image" not in plain
    page = sweep_markdown(with_energy(sweep_result(None)))
    assert "J/image ↓" in page and "**12.3 ±0.45**" in page
    assert "(2) J/image: by mean power times time" in page


def test_bench_shows_joules_per_image() -> None:
    def shown(*energies: object) -> str:
        console = Console(width=200, record=True, file=io.StringIO(), color_system=None)
        cells = [
            BenchCell({"batch_size": 1}, CellStatus.DONE, None, latency(0.1), 1.0, timing)
            for energy in energies
            for timing in [replace(TIMING, energy=energy)]
        ]
        bench_table(cells, console)
        return console.export_text()

    assert "J/image" not in shown(None)
    assert "11.9 to 12.8" in shown(ENERGY, None)
    assert "by the energy counter, before and after each block" in shown(ENERGY)
    assert "by mean power times time" in shown(replace(ENERGY, method="power"))


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
