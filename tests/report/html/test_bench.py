"""Page of a bench: lines with their equations, and every cell in the table."""

from __future__ import annotations

from dataclasses import replace

from tests.report.results import ENERGY, TIMING, latency
from turbo_lab.analysis.latency_fit import fits
from turbo_lab.documents.timing import BenchCell, BenchResult
from turbo_lab.report.html.bench import bench_report
from turbo_lab.store.record import CellStatus


def cells() -> list[BenchCell]:
    found = []
    for size in (1, 8, 32):
        p50 = 0.02 + 0.01 * size
        timing = replace(
            TIMING,
            batch_size=size,
            stages_s=dict.fromkeys(("text", "unet", "vae", "post", "other"), 0.001),
            peak_memory_bytes=1 << 30,
            warnings=("host <busy>",),
        )
        found.append(
            BenchCell(
                axes={"batch_size": size},
                status=CellStatus.DONE,
                error=None,
                latency_s=replace(latency(p50), ci95=(p50 - 0.001, 0.5)),
                load_s=1.0,
                timing=timing,
            )
        )
    return found


FAILED = BenchCell({"batch_size": 64}, CellStatus.FAILED, "out of memory", None)


def test_lines_are_drawn_with_their_equations() -> None:
    rows = cells()
    (fit,) = fits(rows)
    drawn = bench_report(BenchResult((*rows, FAILED), (fit,)))
    assert drawn.count("<circle") == 3 and 'class="median-line"' in drawn
    assert fit.text in drawn and "20 ms" in drawn and "10 ms" in drawn
    assert "host &lt;busy&gt;" in drawn and "1024" in drawn


def test_failures_and_details_of_cells_are_the_terminals() -> None:
    first, *others = cells()
    assert first.timing is not None
    stepped = replace(first, timing=replace(first.timing, unet_steps_s=(0.01, 0.02)))
    drawn = bench_report(BenchResult((stepped, *others, FAILED), ()))
    assert "batch_size=64 failed: out of memory" in drawn and ">incomplete<" in drawn
    assert "UNet time per step, ms (batch_size=1): 10, 20" in drawn
    whole = bench_report(BenchResult((first, *others), ()))
    assert ">complete<" in whole and 'id="notes"' not in whole


def test_without_a_line_there_is_only_the_table() -> None:
    drawn = bench_report(BenchResult(tuple(cells()[:2]), ()))
    assert "<svg" not in drawn and "Milliseconds per call" in drawn


def test_energy_has_columns_if_it_was_measured() -> None:
    rows = cells()
    assert "J/image" not in bench_report(BenchResult(tuple(rows), ()))
    assert rows[0].timing is not None
    metered = replace(rows[0], timing=replace(rows[0].timing, energy=ENERGY))
    drawn = bench_report(BenchResult((metered,), ()))
    assert "J/image" in drawn and "12.3" in drawn and "11.9 to 12.8" in drawn
