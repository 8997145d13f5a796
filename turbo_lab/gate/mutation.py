"""Mutation of the gate: each fault is put into the candidate and judged by each check.

Adds to the faults of the goldens those that only many images show (one black frame in twenty,
noise, blur, a shuffled prompt set, another adapter), and two that only a clock and the peak of
memory show. A fault is tried at the first setup that can show it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.compare.baseline import Baseline
from turbo_lab.documents.gate import BlindnessOutcome, CheckResult
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import Worker
from turbo_lab.metrics.context import MetricContext
from turbo_lab.metrics.evaluate import measure
from turbo_lab.progress import track
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.runtime.seams import Adapters, Seams
from turbo_lab.runtime.wrapping import wrapped
from turbo_lab.trials.faults import FAULTS, Fault, adapters, decoded, has_lora, several
from turbo_lab.verdict import Verdict

Images = np.ndarray
Check = Callable[[Baseline], Sequence[CheckResult]]


@dataclass(frozen=True)
class CandidateSetup:
    """One candidate without a fault, and its measurements."""

    name: str
    """Overrides of the setup, as the table shows them; empty: the candidate as it is."""
    cell: Cell
    """Cell that is drawn."""
    worker: Worker
    """Worker on the candidate's weights."""
    baseline: Baseline
    """Measurements without a fault."""
    context: MetricContext
    """Extractor and references of the metrics."""


def _every_twentieth_black() -> Seams:
    """Blacken the first image that is drawn and every twentieth after it."""
    drawn = [0]

    def black(images: Any) -> Any:
        for row in range(len(images)):
            if (drawn[0] + row) % 20 == 0:
                images[row] = -1.0
        drawn[0] += len(images)
        return images

    return decoded(black)()


def _noise() -> Seams:
    """Add normal noise of 30 levels of 255 to the decoded image in [-1, 1]."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def noisy(images: Any) -> Any:
        drawn = torch.randn(images.shape, generator=generator)
        return images + drawn.to(images) * (30 / 127.5)

    return decoded(noisy)()


def _blur(images: Any) -> Any:
    """Take means of 7 x 7 pixels, at the edges of the pixels inside."""
    import torch

    return torch.nn.functional.avg_pool2d(images, 7, 1, 3, count_include_pad=False)


def _next_prompt(batch: Batch) -> Batch:
    """Draw each image from the next prompt of the batch, as if the set were out of order."""
    layout = batch.layout
    prompts = (*layout.prompts[1:], layout.prompts[0])
    return dataclasses.replace(batch, layout=dataclasses.replace(layout, prompts=prompts))


def _another_adapter(named: Adapters) -> Adapters:
    """Replace the file of each adapter by that of another adapter next to it on the disk."""
    return [(name, _neighbour(path), weight) for name, path, weight in named]


def _neighbour(path: Path) -> Path:
    others = [p for p in sorted(path.parent.parent.glob(f"*/{path.name}")) if p != path]
    if not others:
        raise InputError(f"gate mutate: there is no other adapter next to {path.parent}")
    return others[0]


SAMPLE_FAULTS: tuple[Fault, ...] = (
    Fault("one frame in 20 black", _every_twentieth_black),
    Fault("noise of 30 levels", _noise),
    Fault("blurred", decoded(_blur)),
    Fault("prompt set shuffled", alter=_next_prompt, applies=several),
    Fault("wrong lora", adapters(_another_adapter), applies=has_lora),
)
SLOWER = "unet twice as slow"
HEAVIER = "unet held twice"


def blindness(
    setups: Sequence[CandidateSetup], checks: Callable[[CandidateSetup], Check]
) -> list[BlindnessOutcome]:
    """Put every fault into the candidate and judge it against the candidate without a fault.

    ``checks`` returns, for a setup, the function that makes its checks on measurements. A
    fault that no setup can show is left out.
    """
    outcomes = []
    for fault in track((*SAMPLE_FAULTS, *FAULTS), "faults judged by metrics"):
        fitting = [s for s in setups if _can_show(fault, s.cell)]
        if fitting:
            images = draw(fitting[0].worker, fitting[0].cell, fault)
            outcomes.append(_outcome(fault.name, images, fitting[0], checks(fitting[0])))
    return outcomes


def draw(worker: Worker, cell: Cell, fault: Fault | None = None) -> Images:
    """Draw all images of a cell, (N, H, W, 3) uint8, with a fault in the pipeline."""
    fault = fault or Fault("none")
    negative = None if fault.drops_negative else cell.negative_prompt
    worker = worker.cold(seams=fault.seams())
    worker.prepare(cell.recipe)
    with fault.weights(worker.resident.pipeline):
        rows = [worker.cold().run(fault.alter(batch), negative).pixels for batch in cell.batches]
    return np.concatenate(rows)


def hold_unet_twice(pipeline: Any) -> None:
    """Keep a copy of the UNet that nothing uses."""
    pipeline.spare = copy.deepcopy(pipeline.unet)


def slower_unet(pipeline: Any) -> AbstractContextManager[None]:
    """Call the UNet twice whenever it is called once; the result is that of one call."""

    def doubled(forward: Callable[..., Any]) -> Callable[..., Any]:
        def twice(*arguments: Any, **options: Any) -> Any:
            forward(*arguments, **options)
            return forward(*arguments, **options)

        return twice

    return wrapped(pipeline.unet, "forward", doubled)


def _can_show(fault: Fault, cell: Cell) -> bool:
    # No PNG is written here: goldens and the store's hashes see a wrong file.
    return not fault.needs_png and fault.applies(cell.batches[0], cell.negative_prompt)


def _outcome(name: str, images: Images, setup: CandidateSetup, check: Check) -> BlindnessOutcome:
    baseline = setup.baseline
    prompts, seeds = [list(column) for column in zip(*baseline.keys, strict=True)]
    names = [m.name for m in baseline.measurements]
    measured = tuple(measure(list(images), prompts, seeds, names, context=setup.context))
    rows = check(dataclasses.replace(baseline, measurements=measured))
    return BlindnessOutcome(
        name=name,
        setting=setup.name,
        caught=any(row.verdict != Verdict.PASS for row in rows),
        verdicts={row.name: row.verdict for row in rows},
        differences={row.name: row.difference for row in rows},
    )
