"""``turbo-lab bench``: the timing lane of a grid, or two pipelines against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab.compare.sides import compose_side, split_sides
from turbo_lab.documents.output import print_document, write_text
from turbo_lab.errors import InputError
from turbo_lab.execute.driver import CELL_FAILURES
from turbo_lab.execute.worker import worker_for
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.store.record import CellStatus

if TYPE_CHECKING:
    from turbo_lab.config import GridPoint
    from turbo_lab.runtime.paired_timing import PairedTiming


def is_pair(arguments: Sequence[str]) -> bool:
    """Whether a command line names sides; :func:`bench_pair` says where they are not two."""
    names = [a for a in arguments if "=" not in a and not a.startswith("-")]
    return bool(names) or any(a.startswith(("candidate.", "baseline.")) for a in arguments)


def bench_pair(arguments: list[str], as_json: bool) -> int:
    """Time the baseline (A) against the candidate (B); returns the exit code."""
    names = [a for a in arguments if "=" not in a and not a.startswith("-")]
    rest = [a for a in arguments if a not in names]
    if len(names) not in (0, 2):
        raise InputError("bench: name two models, or none, as in bench nano-turbo nano-sdxl")
    if names:
        rest = [f"baseline.model={names[0]}", f"candidate.model={names[1]}", *rest]
    overrides = split_sides(rest)
    found = compare_overrides("bench", overrides)
    values = pair_document(found, overrides)
    if as_json:
        print_document("bench pair", values)
        return 0
    a, b = (" ".join(overrides[side]) for side in ("baseline", "candidate"))
    print(f"A  {found.a_s * 1e3:9.2f} ms  {a}")
    print(f"B  {found.b_s * 1e3:9.2f} ms  {b}")
    print(f"B / A   {found.ratio:.3f} ({found.ci95[0]:.3f} to {found.ci95[1]:.3f})")
    low, high = found.noise_ci95
    print(f"A / A   {found.noise_ratio:.3f} ({low:.3f} to {high:.3f}), the noise of this run")
    print(found.verdict)
    for warning in found.warnings:
        print(f"warning: {warning}")
    return 0


def bench_cells(points: Sequence[GridPoint], as_json: bool, html: str | None = None) -> int:
    """Time every cell of a grid; timings are never reused, and no image is kept."""
    from turbo_lab.analysis.latency_fit import fits
    from turbo_lab.request.recipe import as_plain
    from turbo_lab.store.store import Store, record_id
    from turbo_lab.workflows.results import timing_row

    sweep = resolve_points(points)
    rule = sweep.options.timed()
    store, worker = Store(sweep.options.store), worker_for(sweep)
    rows: list[dict[str, Any]] = []
    for cell in sweep.cells:
        row: dict[str, Any] = {"axes": dict(cell.axes), "status": CellStatus.DONE, "error": None}
        try:
            if cell.misfit is not None:
                raise InputError(cell.misfit)
            worker.prepare(cell.recipe)
            timing = worker.time_cell(cell, rule, sweep.fingerprint)
        except CELL_FAILURES as error:
            text = " ".join(str(error).split())[:500]
            rows.append({**row, "status": CellStatus.FAILED, "error": text, "latency_s": None})
            continue
        name = record_id(cell.cell_id, sweep.fingerprint.keys, sweep.exactness)
        store.write_timing(name, timing)
        latency = as_plain(timing.latency_s)
        rows.append({**row, "latency_s": latency, "load_s": worker.load_s, **timing_row(timing)})
    lines = fits(rows)
    if as_json:
        print_document("bench", {"cells": rows, "fits": as_plain(lines)})
    else:
        from turbo_lab.report.text.tables import bench_table

        bench_table(rows)
        for fit in lines:
            where = " ".join(f"{key}={value}" for key, value in fit.where.items())
            print(f"fit along {fit.axis}{' at ' if where else ''}{where}: {fit.text}")
    if html is not None:
        from turbo_lab.report.html.bench import bench_report

        write_text(Path(html), bench_report({"cells": rows}, lines), "--html")
    return 3 if any(row["status"] == CellStatus.FAILED for row in rows) else 0


def compare_overrides(
    command: str, overrides: Mapping[str, Sequence[str]], num_pairs: int = 12
) -> PairedTiming:
    """Load both sides and time the candidate against the baseline."""
    from turbo_lab.runtime.paired_timing import compare_calls

    sweeps = [
        compose_side(command, side, [*overrides[side], "tracking=none"])
        for side in ("baseline", "candidate")
    ]
    check_same_run(command, *sweeps)
    rule = sweeps[0].options.timed()
    calls = []
    for sweep in sweeps:
        worker, cell = worker_for(sweep), sweep.cells[0]
        worker.prepare(cell.recipe)
        calls.append(worker.stock_call(cell))
    with worker.thread_count():
        return compare_calls(calls[0], calls[1], rule, sweeps[0].device, num_pairs=num_pairs)


def check_same_run(command: str, baseline: ResolvedSweep, candidate: ResolvedSweep) -> None:
    """Check that both sides can be timed in one process, their calls interleaved.

    Raises ``InputError`` if device, thread count or timing rule differ, or nothing is timed.
    """
    for side in (baseline, candidate):
        side.options.timed()
    _check_threads_and_device(command, baseline, candidate)
    first, second = baseline.options.timing, candidate.options.timing
    _check_equal(command, "timing", first, second)


def check_same_calls(command: str, baseline: ResolvedSweep, candidate: ResolvedSweep) -> None:
    """Check that calls of both sides are comparable.

    Raises ``InputError`` if threads, device or the number of images per call differ.
    """
    _check_threads_and_device(command, baseline, candidate)
    first, second = (len(s.cells[0].batches[0].layout.seeds) for s in (baseline, candidate))
    if first != second:
        raise InputError(
            f"{command}: a call draws {first} images for the baseline and {second} for the "
            "candidate; calls of both are compared, so give batch_size and num_images for both"
        )


def _check_threads_and_device(
    command: str, baseline: ResolvedSweep, candidate: ResolvedSweep
) -> None:
    first, second = baseline.options, candidate.options
    _check_equal(command, "num_threads", first.num_threads, second.num_threads)
    _check_equal(command, "device", first.device, second.device)


def _check_equal(command: str, key: str, baseline: object, candidate: object) -> None:
    if baseline != candidate:
        raise InputError(
            f"{command}: {key} is {baseline} for the baseline and {candidate} for the candidate; "
            f"calls of both are compared, so give {key} once, for both"
        )


def pair_document(found: PairedTiming, overrides: dict[str, list[str]]) -> dict[str, Any]:
    """The ``bench pair`` document, without its header."""
    return {
        "baseline": overrides["baseline"],
        "candidate": overrides["candidate"],
        "verdict": found.verdict,
        "ratio": found.ratio,
        "ci95": list(found.ci95),
        "noise_ratio": found.noise_ratio,
        "noise_ci95": list(found.noise_ci95),
        "baseline_s": found.a_s,
        "candidate_s": found.b_s,
        "baseline_blocks_s": list(found.blocks_a_s),
        "candidate_blocks_s": list(found.blocks_b_s),
        "calls_a_block": found.calls_a_block,
        "warnings": list(found.warnings),
    }
