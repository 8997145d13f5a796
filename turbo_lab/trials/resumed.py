"""A sweep that is cut off and resumed, compared with one that is not.

Owns two real sweeps of the same cells, each in a store of its own: plan, driver,
commits and records are a sweep's own. The cut is Ctrl-C at a chosen batch, where
the driver takes it; what resumes is another worker, with a plan made from the store.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab import images
from turbo_lab.errors import IncompleteError
from turbo_lab.execute.driver import CellOrigin, SweepContext, run_plan
from turbo_lab.execute.worker import Weights, Worker
from turbo_lab.golden.run_case import Case, case_threads
from turbo_lab.planning.resolved_sweep import ResolvedSweep, plan_sweep
from turbo_lab.store.store import Store
from turbo_lab.trials.faults import patched


@dataclass(frozen=True)
class Resumed:
    """What the two sweeps left in their stores."""

    batches: int
    """Of each sweep."""
    before_the_cut: int
    """Batches that the first part had committed."""
    equal: bool
    """Every stage's hash, every PNG file and every record, byte for byte."""
    max_abs: int
    """Largest difference of a pixel, in levels of 255."""


def resumed_sweep(cases: Sequence[Case], weights: Weights) -> Resumed:
    """Sweep the cases' cells at one go, and again cut off half-way and resumed.

    At least two cases, of one environment.
    """
    sweep = dataclasses.replace(cases[0].sweep, cells=tuple(case.cell for case in cases))
    threads, half = case_threads(cases[0]), len(cases) // 2

    def worker() -> Worker:
        return Worker(weights, sweep.device, threads)

    with tempfile.TemporaryDirectory(prefix="turbo-lab-resumed-") as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        _run(sweep, whole, worker())
        first = worker()
        with _cut_off(first, half), suppress(IncompleteError):
            _run(sweep, parts, first)
        committed = len(list((parts / "batches").glob("*/*")))
        assert 0 < committed < len(cases), committed
        _run(sweep, parts, worker())
        one, other = _content(whole), _content(parts)
        levels = [_levels(one[name], other[name]) for name in one if name in other]
        return Resumed(len(cases), committed, one == other, max(levels, default=255))


def _run(sweep: ResolvedSweep, root: Path, worker: Worker) -> None:
    store = Store(root)
    context = SweepContext(
        store=store,
        keys=sweep.keys,
        fingerprint=sweep.fingerprint,
        timing=None,
        origins={cell.cell_id: CellOrigin({}, {}) for cell in sweep.cells},
    )
    run_plan(plan_sweep(sweep, store), worker, context, _Quiet())


@contextmanager
def _cut_off(worker: Worker, after: int) -> Iterator[None]:
    """Ctrl-C while batch number ``after``, from 0, is drawn."""
    run, drawn = worker.run, [0]

    def cut(*arguments: Any) -> np.ndarray:
        if drawn[0] == after:
            raise KeyboardInterrupt
        drawn[0] += 1
        return run(*arguments)

    with patched(worker, "run", cut):
        yield


def _content(root: Path) -> dict[str, bytes]:
    """Batches and records, by path."""
    files = [path for kind in ("batches", "records") for path in (root / kind).rglob("*.*")]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def _levels(one: bytes, other: bytes) -> int:
    if one == other or not one.startswith(b"\x89PNG"):
        return 0
    first, second = (images.decode_png(content).astype(np.int16) for content in (one, other))
    return int(np.abs(first - second).max())


class _Quiet:
    """Progress reporter that does nothing."""

    def begin(self, images: int) -> None:
        """Nothing."""

    def advance(self, images: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
