"""Latency of a grid, and of two pipelines against each other. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from turbo_lab.analysis.latency_fit import fits
from turbo_lab.documents.occasion import Occasion, occasion_now
from turbo_lab.documents.timing import BenchCell, BenchResult, CellTiming, PairEnergy, PairResult
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.execute.worker import worker_for
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.progress import track
from turbo_lab.runtime.failures import reason
from turbo_lab.store.record import CellStatus
from turbo_lab.store.store import Store

if TYPE_CHECKING:
    from turbo_lab.runtime.paired_timing import PairedTiming


def time_cells(sweep: ResolvedSweep, command: Sequence[str] = ()) -> BenchResult:
    """Time every cell of a grid and fit lines through the medians.

    Timings are never reused, and no image is kept. ``command``: words of the command line, for
    the reader.
    """
    rule = sweep.options.timed()
    store, worker = Store(sweep.options.store), worker_for(sweep)
    found: list[BenchCell] = []
    for cell in track(sweep.cells, "cells timed"):
        axes = dict(cell.axes)
        try:
            if cell.misfit is not None:
                raise InputError(cell.misfit)
            worker.prepare(cell.recipe)
            timing = worker.time_cell(cell, rule, sweep.fingerprint)
        except TurboLabError as error:
            found.append(BenchCell(axes, CellStatus.FAILED, error=reason(error), latency_s=None))
            continue
        store.write_timing(sweep.keys.record_id(cell), timing)
        found.append(
            BenchCell(
                axes=axes,
                status=CellStatus.DONE,
                error=None,
                latency_s=timing.latency_s,
                load_s=worker.resident.load_s,
                timing=CellTiming.of(timing),
            )
        )
    occasion = occasion_now(command, sweep.fingerprint)
    return BenchResult(tuple(found), tuple(fits(found)), occasion)


def time_sides(
    baseline: ResolvedSweep,
    candidate: ResolvedSweep,
    num_pairs: int = 12,
    with_energy: bool = False,
) -> PairedTiming:
    """Load both sides and time the candidate (B) against the baseline (A).

    Call :func:`check_same_run` on both sides first. ``with_energy``: make blocks long enough for
    the device's meter, if it has one.
    """
    from turbo_lab.runtime.energy import open_meter
    from turbo_lab.runtime.paired_timing import compare_calls

    calls = []
    for sweep in track((baseline, candidate), "sides loaded"):
        worker, cell = worker_for(sweep), sweep.cells[0]
        worker.prepare(cell.recipe)
        calls.append(worker.timed_call(cell))
    rule = baseline.options.timed()
    with worker.thread_count():
        meter = open_meter(baseline.device) if with_energy else None
        return compare_calls(
            calls[0], calls[1], rule, baseline.device, num_pairs=num_pairs, meter=meter
        )


def pair_result(
    timing: PairedTiming,
    images_per_call: tuple[int, int],
    baseline_words: Sequence[str],
    *,
    candidate_words: Sequence[str],
    occasion: Occasion | None = None,
) -> PairResult:
    """Return the result of timing two sides, with the command line of each."""
    return PairResult(
        baseline=tuple(baseline_words),
        candidate=tuple(candidate_words),
        verdict=timing.verdict,
        ratio=timing.ratio,
        ci95=timing.ci95,
        noise_ratio=timing.noise_ratio,
        noise_ci95=timing.noise_ci95,
        baseline_s=timing.a_s,
        candidate_s=timing.b_s,
        baseline_blocks_s=timing.blocks_a_s,
        candidate_blocks_s=timing.blocks_b_s,
        calls_a_block=timing.calls_a_block,
        warnings=timing.warnings,
        energy=_pair_energy(timing, images_per_call),
        images_per_call=images_per_call,
        occasion=occasion,
    )


def _pair_energy(found: PairedTiming, images_per_call: tuple[int, int]) -> PairEnergy | None:
    """Return the energy of both sides per image; ``None`` if it was not measured."""
    if found.energy is None:
        return None
    a_j, b_j = (
        sum(side) / len(side) / images
        for side, images in zip(
            (found.energy.blocks_a_j, found.energy.blocks_b_j), images_per_call, strict=True
        )
    )
    return PairEnergy(
        a_j, b_j, ratio=found.energy.ratio, ci95=found.energy.ci95, method=found.energy.method
    )


def check_same_run(command: str, baseline: ResolvedSweep, candidate: ResolvedSweep) -> None:
    """Check that both sides can be timed in one process, with interleaved calls.

    Raises ``InputError`` if device, thread count or timing rule differ, or if nothing is timed.
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
            "candidate; the latencies are compared, so pass batch_size and num_images for both"
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
            f"the latencies are compared, so pass {key} once, without a prefix"
        )
