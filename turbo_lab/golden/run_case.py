"""Running one golden's case, with every stage observed.

Owns the way from a case's overrides to an :class:`Observation`: the very worker,
sampler and commit that a sweep uses, and the pixels as read back from the PNG
files. Faults and perturbations are put around this, never into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from turbo_lab import config, images
from turbo_lab.errors import InputError
from turbo_lab.execute.committer import commit_batch
from turbo_lab.execute.worker import Weights, Worker
from turbo_lab.golden.fresh_process import Stages, stages_in_fresh_process
from turbo_lab.golden.judgement import Observation
from turbo_lab.golden.stages import StageValue
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.store.record import BatchRecord, Exactness
from turbo_lab.store.store import Store, reuse_key

if TYPE_CHECKING:
    import torch

Substitute = Callable[[str, "torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Case:
    """A golden's case, resolved: all that is known before torch is imported."""

    name: str
    """Of the golden."""
    cell: Cell
    """One cell of one batch."""
    sweep: ResolvedSweep
    """What it was resolved with: files, device, fingerprint."""
    overrides: tuple[str, ...]
    """That it was composed from."""

    @property
    def batch(self) -> Batch:
        """Its only batch."""
        return self.cell.batches[0]


def resolve_case(name: str, overrides: Sequence[str]) -> Case:
    """Compose a case. Raises ``InputError`` where it is a grid, or more than one batch."""
    sweep = resolve_points(config.compose("golden", [*overrides, "tracking=none"]))
    cells = sweep.cells
    if sweep.exactness != Exactness.EXACT:
        raise InputError(
            f"golden {name}: share={sweep.options.share}: its rows have the bits of other "
            "batches; a golden needs share=exact"
        )
    if len(cells) != 1 or len(cells[0].batches) != 1:
        batches = sum(len(cell.batches) for cell in cells)
        raise InputError(
            f"golden {name}: a case is one batch of one cell, this is {len(cells)} cells and "
            f"{batches} batches; give one value a key and num_images of at most batch_size"
        )
    return Case(name, cells[0], sweep, tuple(overrides))


class CaseRunner:
    """Runs cases one after the other, in this process, with one resident pipeline."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = tuple(cases)
        models: dict[str, Path] = {}
        adapters: dict[str, tuple[str, Path]] = {}
        vaes: dict[str, Path] = {}
        for case in cases:
            library = case.sweep.library
            models |= {key: files.path for key, (_, files) in library.models.items()}
            adapters |= {key: (f.name, f.path) for key, f in library.adapters.items()}
            vaes |= {key: files.path for key, files in library.vaes.items()}
        devices = sorted({case.sweep.device for case in cases})
        if len(devices) > 1:
            raise InputError(
                f"device={','.join(devices)}: name the goldens of one device at a time"
            )
        self.worker = Worker(Weights(models, adapters, vaes), devices[0], case_threads(cases[0]))

    def run(
        self, case: Case, substitute: Substitute | None = None, num_threads: int | None = None
    ) -> Observation:
        """Run a case from nothing shared. ``substitute`` may replace a stage's tensor.

        ``num_threads``: as many as the case names, if ``None``.
        """
        stages: list[StageValue] = []

        def observe(stage: str, tensor: torch.Tensor) -> torch.Tensor:
            stages.append(stage_value(stage, tensor))
            return tensor if substitute is None else substitute(stage, tensor)

        worker = self.worker
        worker.num_threads = num_threads or case_threads(case)
        worker.prepare(case.cell.recipe)
        worker.start_cold()
        with worker.image_lane(), worker.observed(observe):
            pixels = worker.run(case.batch, case.cell.negative_prompt)
        stages.append(StageValue("pixels", "uint8", _through_png(case, pixels)))
        return Observation(case.cell.cell_id, tuple(stages), case.sweep.fingerprint)

    @cached_property
    def _fresh(self) -> dict[str, Stages]:
        return stages_in_fresh_process({case.name: case.overrides for case in self._cases})

    def run_fresh(self, case: Case) -> Observation:
        """Return a case as a fresh process drew it together with the others."""
        return Observation(case.cell.cell_id, self._fresh[case.name], case.sweep.fingerprint)


def case_threads(case: Case) -> int:
    """CPU threads that a case is drawn with."""
    return case.sweep.options.num_threads


def stage_value(stage: str, tensor: torch.Tensor) -> StageValue:
    """A copy on the CPU: floats of up to 32 bits as float32, which holds them exactly."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    here = tensor.detach().to("cpu")
    is_narrow = here.is_floating_point() and here.element_size() <= 4
    return StageValue(stage, dtype, (here.float() if is_narrow else here).numpy().copy())


class _Kept:
    """In a store's place: the files of one batch, kept in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def commit_batch(self, batch: BatchRecord, files: Mapping[str, bytes]) -> None:
        """Keep what a store would write, in image order."""
        self.files = {entry.file: files[entry.file] for entry in batch.images}


def _through_png(case: Case, pixels: np.ndarray) -> np.ndarray:
    """The pixels as the PNG files of a sweep hold them, by the sweep's own encoding."""
    kept = _Kept()
    key = reuse_key(case.batch.batch_id, case.sweep.fingerprint.keys, Exactness.EXACT)
    commit_batch(cast(Store, kept), case.batch, key, Exactness.EXACT, pixels, {})
    return np.stack([images.decode_png(content) for content in kept.files.values()])
