"""What a pipeline takes of memory: its peak over what the process held before.

Owns measuring it in processes of their own, for a process's peak remembers all
that it ever loaded. Imports are left out: torch and diffusers take more than a
small model does, and would hide what it takes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from turbo_lab.errors import JudgementError
from turbo_lab.execute.worker import Weights, Worker
from turbo_lab.request.recipe import Cell
from turbo_lab.runtime.host import PeakMemory

MemorySubject = tuple[Weights, str, int, Cell]
"""Weights, device, threads and the cell whose first batch is drawn."""
Fault = Callable[[Worker], None]
"""Done to a worker that has loaded its cell: a function of a module, as it goes to a process."""

NUM_PAIRS = 8
"""Fewer have no interval."""
# Imported once, by the process that the measured ones are forked from. It runs nothing.
_PRELOAD = ["turbo_lab.runtime.sampler", "turbo_lab.runtime.lora"]


def compare_footprints(
    candidate: MemorySubject,
    baseline: MemorySubject,
    num_pairs: int = NUM_PAIRS,
    fault: Fault | None = None,
) -> tuple[list[int], list[int]]:
    """(candidate's, baseline's) peaks in bytes, ``num_pairs`` each, taken by turns.

    One process a peak on a CPU, where a peak cannot be taken back; one a side on a
    GPU, whose allocator's can. ``fault`` is put into the candidate. Raises
    :class:`JudgementError` where a process dies.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    turns, calls = (num_pairs, 1) if baseline[1] == "cpu" else (1, num_pairs)
    found: tuple[list[int], list[int]] = ([], [])
    try:
        with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
            for _ in range(turns):
                found[0].extend(pool.submit(peaks_of, candidate, calls, fault).result())
                found[1].extend(pool.submit(peaks_of, baseline, calls).result())
    except BrokenProcessPool as error:
        raise JudgementError(f"memory: a process that drew one batch died ({error})") from error
    return found


def peaks_of(side: MemorySubject, calls: int, fault: Fault | None = None) -> list[int]:
    """Peaks of ``calls`` calls in this process, in bytes over what it held before loading.

    A first round is thrown away: it brings in code pages and the caches of the math
    libraries, 50 MiB that differ from process to process.
    """
    from turbo_lab.runtime.memory import give_back_what_is_freed, release  # torch

    give_back_what_is_freed()
    _round(side, 1, fault)
    release()
    return _round(side, calls, fault)


def _round(side: MemorySubject, calls: int, fault: Fault | None) -> list[int]:
    """Load, call, and let go of it all."""
    weights, device, num_threads, cell = side
    before = PeakMemory(device).peaks()
    worker = Worker(weights, device, num_threads)
    worker.prepare(cell.recipe)
    if fault is not None:
        fault(worker)
    call, found = worker.stock_call(cell), []
    with worker.thread_count():
        for _ in range(calls):
            memory = PeakMemory(device)
            call()
            peaks = memory.peaks()
            of_process = peaks.process - before.process
            found.append(of_process if peaks.allocated is None else peaks.allocated)
    return found
