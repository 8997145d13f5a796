"""Run golden cases and observe every stage.

Owns the way from the overrides of a case to an :class:`Observation`. It uses the worker,
sampler and encoding of a sweep, and reads the pixels back from the PNG files. Faults and
harmless changes enter through :class:`Drawing` only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from turbo_lab import config, images
from turbo_lab.errors import InputError
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.execute.worker import Worker
from turbo_lab.golden.document import Golden
from turbo_lab.golden.fresh_process import DrawFresh, Stages, stages_in_fresh_process
from turbo_lab.golden.library import StoredTensors
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.stages import StageValue
from turbo_lab.planning.random_weights import refuse_random_weights
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams
from turbo_lab.store.encode import DrawnBatch, EncodePng, encode_batch
from turbo_lab.store.record import Exactness
from turbo_lab.untrusted.redaction import redact

if TYPE_CHECKING:
    import torch

    from turbo_lab.config import GridPoint

Substitute = Callable[[str, "torch.Tensor"], "torch.Tensor"]
"""Called with each stage's name and tensor; the tensor that it returns takes its place."""


@dataclass(frozen=True)
class Drawing:
    """Way of drawing cases; trials and tests replace parts of it."""

    seams: Seams = SWEEP_SEAMS
    """Steps of drawing in this process."""
    draw_fresh: DrawFresh = stages_in_fresh_process
    """Drawing in a fresh process."""


SWEEP_DRAWING = Drawing()
"""Drawing as a sweep does it, and fresh processes that are fresh."""


@dataclass(frozen=True)
class Case:
    """A golden's case, resolved without torch."""

    name: str
    """Name of the golden."""
    cell: Cell
    """One cell of one batch."""
    sweep: ResolvedSweep
    """Resolved sweep of the case: files, device, fingerprint."""
    overrides: tuple[str, ...]
    """Overrides that the case was composed from."""

    @property
    def batch(self) -> Batch:
        """The case's only batch."""
        return self.cell.batches[0]


class RecordedCase(NamedTuple):
    """A case with its golden."""

    case: Case
    """Resolved case."""
    golden: Golden
    """The golden."""
    stored: StoredTensors
    """Tensors that the golden keeps."""


ResolveCase = Callable[[str, Sequence[str]], Case]
"""Resolves a case, given its name and the words of its line in ``cases.json``."""


def resolve_case(name: str, words: Sequence[str]) -> Case:
    """Compose a case from its own words; raises as :func:`composed_case`."""
    return composed_case(name, config.compose("golden", [*words, "tracking=none"]), words)


def composed_case(name: str, points: Sequence[GridPoint], words: Sequence[str]) -> Case:
    """Return the case that was composed from ``words``.

    Raises ``InputError`` for a grid or more than one batch.
    """
    if any(redact(word) != word for word in words):
        raise InputError(
            f"golden {name}: its settings contain a password or a key, and goldens are passed on; "
            "leave tracking.uri out"
        )
    sweep = resolve_points(points)
    refuse_random_weights(sweep, f"golden {name}", "record goldens of models with weights")
    cells = sweep.cells
    if sweep.exactness != Exactness.EXACT:
        raise InputError(
            f"golden {name}: share={sweep.options.share} lets other batches change the bits of a "
            "batch; set share=exact"
        )
    if len(cells) != 1 or len(cells[0].batches) != 1:
        batches = sum(len(cell.batches) for cell in cells)
        raise InputError(
            f"golden {name}: must be one batch of one cell, not {batches} batches of "
            f"{len(cells)} cells; give one value per key, and num_images of at most batch_size"
        )
    return Case(name, cells[0], sweep, tuple(words))


class CaseRunner:
    """Runs cases one after the other in this process, with one resident pipeline."""

    def __init__(
        self,
        cases: Sequence[Case],
        drawing: Drawing = SWEEP_DRAWING,
        weights: Weights | None = None,
    ) -> None:
        """Take the cases of one device. Raises ``InputError`` for several.

        ``weights``: those that the cases were resolved with if ``None``.
        """
        self._cases, self._drawing = tuple(cases), drawing
        devices = sorted({case.sweep.device for case in cases})
        if len(devices) > 1:
            raise InputError(
                f"device={','.join(devices)}: name goldens of one device at a time, or set device="
            )
        files = weights or Weights.of(*(case.sweep.library for case in cases))
        self.resident = ResidentPipeline(files, devices[0])

    def worker(
        self, case: Case, num_threads: int | None = None, seams: Seams | None = None
    ) -> Worker:
        """Return a worker that has the case's weights resident and has drawn nothing yet.

        ``num_threads``: the case's own if ``None``. ``seams``: the runner's own if ``None``.
        """
        worker = Worker(
            self.resident,
            num_threads or case_threads(case),
            seams=seams or self._drawing.seams,
        )
        worker.prepare(case.cell.recipe)
        return worker

    def run(
        self,
        case: Case,
        substitute: Substitute | None = None,
        num_threads: int | None = None,
        seams: Seams | None = None,
    ) -> Observation:
        """Run a case with nothing shared. ``substitute`` may replace a stage's tensor.

        ``num_threads`` and ``seams``: see :meth:`worker`.
        """
        stages: list[StageValue] = []

        def observe(stage: str, tensor: torch.Tensor) -> torch.Tensor:
            stages.append(stage_value(stage, tensor))
            return tensor if substitute is None else substitute(stage, tensor)

        worker = self.worker(case, num_threads, seams)
        drawn = worker.run(case.batch, case.cell.negative_prompt, observe)
        pixels = _through_png(case, drawn.pixels, worker.seams.encode_png)
        stages.append(StageValue("pixels", "uint8", pixels))
        return Observation(case.cell.cell_id, tuple(stages), case.sweep.fingerprint)

    @cached_property
    def _fresh(self) -> dict[str, Stages]:
        return self._drawing.draw_fresh({case.name: case.overrides for case in self._cases})

    def run_fresh(self, case: Case) -> Observation:
        """Return a run of one of this runner's cases in a fresh process, among the others."""
        return Observation(case.cell.cell_id, self._fresh[case.name], case.sweep.fingerprint)


def case_threads(case: Case) -> int:
    """Return the number of CPU threads that a case is drawn with."""
    return case.sweep.options.num_threads


def stage_value(stage: str, tensor: torch.Tensor) -> StageValue:
    """Copy a tensor to the CPU; floats of up to 32 bits become float32, which is exact."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    here = tensor.detach().to("cpu")
    is_narrow = here.is_floating_point() and here.element_size() <= 4
    return StageValue(stage, dtype, (here.float() if is_narrow else here).numpy().copy())


def _through_png(case: Case, pixels: np.ndarray, encode_png: EncodePng) -> np.ndarray:
    """Encode the pixels as a sweep does, and decode them again."""
    drawn = DrawnBatch(
        batch=case.batch,
        exactness=Exactness.EXACT,
        keys=case.sweep.fingerprint.keys,
        pixels=pixels,
        negative_prompt=case.cell.negative_prompt,
    )
    _, files = encode_batch(drawn, encode_png)
    return np.stack([images.decode_png(content) for content in files.values()])
