"""Peak memory of a pipeline, above that of the process before loading.

Owns the measurement in separate processes, because a process's peak includes everything that it
ever loaded. Imports are left out: torch and diffusers take more memory than a small model.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turbo_lab.errors import JudgementError
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.execute.worker import Worker
from turbo_lab.progress import track
from turbo_lab.request.recipe import Cell
from turbo_lab.runtime.host import PeakMemory

if TYPE_CHECKING:
    from turbo_lab.planning.resolved_sweep import ResolvedSweep

Fault = Callable[[Any], None]
"""Change to a loaded pipeline; a module's function, because it is sent to another process."""

NUM_PAIRS = 8
"""Pairs of measurements; with fewer there is no interval."""
# Imported once, by the process that the measured ones are forked from. It runs nothing.
_PRELOAD = ["turbo_lab.runtime.sampler", "turbo_lab.runtime.lora"]


@dataclass(frozen=True)
class MemorySubject:
    """A call whose memory is measured, in a form that can be sent to another process."""

    weights: Weights
    """Files of the cell's weights."""
    device: str
    """Device to draw on."""
    num_threads: int
    """CPU threads."""
    cell: Cell
    """Cell whose first batch is drawn."""

    @classmethod
    def of(cls, sweep: ResolvedSweep) -> MemorySubject:
        """Return the call on a sweep's first cell."""
        weights = Weights.of(sweep.library)
        return cls(weights, sweep.device, sweep.options.num_threads, sweep.cells[0])


def compare_footprints(
    candidate: MemorySubject,
    baseline: MemorySubject,
    num_pairs: int = NUM_PAIRS,
    fault: Fault | None = None,
) -> tuple[list[int], list[int]]:
    """Return (candidate's, baseline's) peaks in bytes, ``num_pairs`` each, measured in turn.

    One process per peak on a CPU, where a peak cannot be reset; one per side on a
    GPU, whose allocator's can. ``fault`` is put into the candidate. Raises
    :class:`JudgementError` if a process dies.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    turns, calls = (num_pairs, 1) if baseline.device == "cpu" else (1, num_pairs)
    found: tuple[list[int], list[int]] = ([], [])
    try:
        with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
            for _ in track(range(turns), "pairs of memory peaks"):
                found[0].extend(pool.submit(peaks_of, candidate, calls, fault).result())
                found[1].extend(pool.submit(peaks_of, baseline, calls).result())
    except BrokenProcessPool as error:
        raise JudgementError(f"memory: a process that drew one batch died ({error})") from error
    return found


def peaks_of(subject: MemorySubject, calls: int, fault: Fault | None = None) -> list[int]:
    """Return the peaks of ``calls`` calls in this process, in bytes over the start's.

    A first round is discarded: it brings in code pages and the caches of the math
    libraries, 50 MiB that differ from process to process.
    """
    from turbo_lab.runtime.memory import give_back_what_is_freed, release  # torch

    give_back_what_is_freed()
    _round(subject, 1, fault)
    release()
    return _round(subject, calls, fault)


def _round(subject: MemorySubject, calls: int, fault: Fault | None) -> list[int]:
    """Load, call, and release everything."""
    device, cell = subject.device, subject.cell
    before = PeakMemory(device).peaks()
    worker = Worker(ResidentPipeline(subject.weights, device), subject.num_threads)
    worker.prepare(cell.recipe)
    if fault is not None:
        fault(worker.resident.pipeline)
    call, found = worker.timed_call(cell), []
    with worker.thread_count():
        for _ in range(calls):
            memory = PeakMemory(device)
            call()
            peaks = memory.peaks()
            of_process = peaks.process - before.process
            found.append(of_process if peaks.allocated is None else peaks.allocated)
    return found
