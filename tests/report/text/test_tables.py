"""Tables of the terminal: best cells are marked without colour, energy is shown if measured."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tests.report.results import ENERGY, TIMING, latency, sweep_result
from turbo_lab.documents.plan import (
    Forecast,
    PlanCell,
    PlanCounts,
    PlanResult,
    PlanWork,
    RowsPlanned,
)
from turbo_lab.documents.sweep import SkillValue
from turbo_lab.documents.timing import BenchCell, CellTiming
from turbo_lab.report.text.tables import bench_table, plan_table, skills_table, sweep_table
from turbo_lab.store.record import CellStatus


def test_the_best_value_has_a_star_without_colour() -> None:
    console = Console(width=120, record=True, file=io.StringIO(), color_system=None)
    sweep_table(sweep_result(None), console)
    text = console.export_text()
    assert "0.8 ±0.1*" in text
    assert "failed" in text
    assert "5 requested; equal cells merged" in text


def test_skills_are_rows_of_a_second_table() -> None:
    console = Console(width=120, record=True, file=io.StringIO(), color_system=None)
    sweep = sweep_result(None)
    skills_table(sweep, console)
    assert console.export_text() == ""
    cell = sweep.cells[0]
    score = cell.metrics["clip_score"]
    value = SkillValue(0.25, 9, (0.2, 0.3), None)
    split = replace(cell, metrics={"clip_score": replace(score, by_skill={"[red]count": value})})
    skills_table(replace(sweep, cells=(split,)), console)
    text = console.export_text()
    assert "by skill" in text and "[red]count" in text and "0.25 ±0.05" in text


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


def test_bench_shows_what_compiling_and_capturing_took() -> None:
    def shown(timing: CellTiming) -> str:
        console = Console(width=200, record=True, file=io.StringIO(), color_system=None)
        cell = BenchCell({"batch_size": 1}, CellStatus.DONE, None, latency(0.1), 1.0, timing)
        bench_table([cell], console)
        return console.export_text()

    assert "compiling" not in shown(TIMING) and "graphs" not in shown(TIMING)
    both = shown(replace(TIMING, compile_s=61.25, graph_pool_bytes=3 << 29))
    assert "compiling took 1 min 1 s of the first call and CUDA graphs take 1.5 GiB" in both


def test_a_forecast_has_units_and_names_what_is_unknown() -> None:
    def shown(forecast: Forecast) -> str:
        console = Console(width=200, record=True, file=io.StringIO(), color_system=None)
        rows = RowsPlanned(alone=4, planned=2)
        work = PlanWork(unet_rows=rows, vae_rows=rows, text_rows=rows)
        counts = PlanCounts(requested=1, distinct=1, in_store=0, to_run=1)
        plan_table(PlanResult(counts, work, forecast, cells=(), warnings=()), console)
        return console.export_text()

    known = shown(Forecast(wall_s=12.34, peak_memory_bytes=3 * 2**30, disk_bytes=5 * 2**20))
    assert "forecast: 12 s, 3 GiB peak memory, 5 MiB disk space" in known
    unknown = shown(Forecast(wall_s=None, peak_memory_bytes=None, disk_bytes=None))
    assert "forecast: time unknown, peak memory unknown, disk space unknown" in unknown


@pytest.mark.parametrize(
    ("num_aliases", "shown"), [(0, "steps=1\n"), (1, "(+1 equal cell)"), (2, "(+2 equal cells)")]
)
def test_a_plan_counts_equal_cells(num_aliases: int, shown: str) -> None:
    console = Console(width=200, record=True, file=io.StringIO(), color_system=None)
    rows = RowsPlanned(alone=1, planned=1)
    cell = PlanCell("0" * 16, {"steps": 1}, ({"steps": 2},) * num_aliases, "to_run")
    counts = PlanCounts(requested=1 + num_aliases, distinct=1, in_store=0, to_run=1)
    work, forecast = PlanWork(rows, rows, rows), Forecast(None, None, None)
    plan_table(PlanResult(counts, work, forecast, (cell,), warnings=()), console)
    assert shown in console.export_text()
