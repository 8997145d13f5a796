"""A sweep that is interrupted and resumed, compared with one that is not.

Owns two real sweeps of the same cells, each in its own store, with the plan, driver, commits
and records of any sweep. The interruption is Ctrl-C while a chosen batch is drawn. A new
worker resumes, with a plan made from the store.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab import images
from turbo_lab.errors import IncompleteError
from turbo_lab.execute.context import CellOrigin, SweepContext
from turbo_lab.execute.driver import run_plan
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.execute.worker import Worker
from turbo_lab.golden.run_case import Case, case_threads
from turbo_lab.planning.resolved_sweep import ResolvedSweep, plan_sweep
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams, image_generators
from turbo_lab.store.layout import BATCHES, RECORDS, StoreLayout
from turbo_lab.store.provenance import Provenance
from turbo_lab.store.store import Store


@dataclass(frozen=True)
class Resumed:
    """Comparison of the two sweeps' stores."""

    batches: int
    """Number of batches in each sweep."""
    before_interruption: int
    """Number of batches that were committed before the interruption."""
    equal: bool
    """True if every stage's hash, PNG file and record is the same, byte for byte."""
    max_abs: int
    """Largest difference between two pixels, in levels of 255."""


def resumed_sweep(
    cases: Sequence[Case], weights: Weights, resumes_with: Seams = SWEEP_SEAMS
) -> Resumed:
    """Sweep the cases' cells without a break, and again interrupted half-way and resumed.

    Needs at least two cases of one environment. ``resumes_with``: seams of the worker
    that resumes.
    """
    sweep = dataclasses.replace(cases[0].sweep, cells=tuple(case.cell for case in cases))
    threads, half = case_threads(cases[0]), len(cases) // 2

    def worker(seams: Seams = SWEEP_SEAMS) -> Worker:
        return Worker(ResidentPipeline(weights, sweep.device), threads, seams=seams)

    with tempfile.TemporaryDirectory(prefix="turbo-lab-resumed-") as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        _run(sweep, whole, worker())
        with suppress(IncompleteError):
            _run(sweep, parts, worker(_interrupt_at(half)))
        committed = len(list(StoreLayout(parts).batches()))
        assert 0 < committed < len(cases), committed
        _run(sweep, parts, worker(resumes_with))
        one, other = _content(whole), _content(parts)
        levels = [_levels(one[name], other[name]) for name in one if name in other]
        return Resumed(len(cases), committed, one == other, max(levels, default=255))


def _run(sweep: ResolvedSweep, root: Path, worker: Worker) -> None:
    store = Store(root)
    unknown = CellOrigin(names={}, provenance=Provenance({}, {}, {}, git=None))
    context = SweepContext(
        store=store,
        keys=sweep.keys,
        fingerprint=sweep.fingerprint,
        timing=None,
        origins={cell.cell_id: unknown for cell in sweep.cells},
    )
    run_plan(plan_sweep(sweep, store), worker, context, _Quiet())


def _interrupt_at(batch: int) -> Seams:
    """Return seams that raise ``KeyboardInterrupt`` while a batch, counted from 0, is drawn."""
    begun = 0

    def generators(seeds: Sequence[int]) -> list[Any]:
        nonlocal begun
        if begun == batch:
            raise KeyboardInterrupt
        begun += 1
        return image_generators(seeds)

    return Seams(make_generators=generators)


def _content(root: Path) -> dict[str, bytes]:
    """Read all batches and records, by path."""
    files = [path for kind in (BATCHES, RECORDS) for path in (root / kind).rglob("*.*")]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def _levels(one: bytes, other: bytes) -> int:
    if one == other or not one.startswith(b"\x89PNG"):
        return 0
    first, second = (images.decode_png(content).astype(np.int16) for content in (one, other))
    return int(np.abs(first - second).max())


class _Quiet:
    """Progress reporter that does nothing."""

    def begin(self, images: int) -> None:
        """Do nothing."""

    def advance(self, images: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
