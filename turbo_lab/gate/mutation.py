"""Which faults the gate would see: each put into the candidate, each check asked.

To the goldens' faults come those that only a sample shows: one black frame in
twenty, noise, blur, a shuffled prompt set, another adapter, and two that only a
clock and a look at the memory show. A fault is tried at the first of the stated
settings that can show it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import CheckResult
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import Worker
from turbo_lab.metrics.context import MetricContext
from turbo_lab.metrics.evaluate import measure
from turbo_lab.progress import track
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.trials.faults import FAULTS, Fault, decoded, has_lora, lora_call, patched, several
from turbo_lab.verdict import Verdict

Images = np.ndarray
Check = Callable[[Baseline], Sequence[CheckResult]]


@dataclass(frozen=True)
class Setting:
    """One candidate, healthy so far."""

    name: str
    """Its overrides, as the table shows them."""
    cell: Cell
    """What is drawn."""
    worker: Worker
    """With its weights."""
    baseline: Baseline
    """Its own healthy figures."""
    context: MetricContext
    """What they are measured with."""


@dataclass(frozen=True)
class BlindnessOutcome:
    """What the gate's checks said of one fault."""

    name: str
    """Of the fault."""
    setting: str
    """At which it was tried; empty for the policy's own."""
    caught: bool
    """Some check did not pass, so that the gate would not have."""
    verdicts: dict[str, str]
    """By check."""
    differences: dict[str, float | None]
    """By check; ``None`` where a check has no figure."""


def _every_twentieth_black(pipeline: Any) -> AbstractContextManager[None]:
    """Of all images drawn while it is on, the first and every twentieth after it."""
    drawn = [0]

    def black(images: Any) -> Any:
        for row in range(len(images)):
            if (drawn[0] + row) % 20 == 0:
                images[row] = -1.0
        drawn[0] += len(images)
        return images

    return decoded(black)(pipeline)


def _noise(pipeline: Any) -> AbstractContextManager[None]:
    """Normal, 30 levels of 255, on the decoded image in [-1, 1]."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def noisy(images: Any) -> Any:
        drawn = torch.randn(images.shape, generator=generator)
        return images + drawn.to(images) * (30 / 127.5)

    return decoded(noisy)(pipeline)


def _blur(images: Any) -> Any:
    """Means of 7 x 7 pixels, at the edges of what is there."""
    import torch

    return torch.nn.functional.avg_pool2d(images, 7, 1, 3, count_include_pad=False)


def _next_prompt(batch: Batch) -> Batch:
    """Every image of the prompt after its own: as if the prompt set were out of order."""
    layout = batch.layout
    prompts = (*layout.prompts[1:], layout.prompts[0])
    return dataclasses.replace(batch, layout=dataclasses.replace(layout, prompts=prompts))


def _another_adapter(named: list[tuple[str, Path, float]]) -> list[tuple[str, Path, float]]:
    """Each adapter's file is that of a neighbour on the disk."""
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
    Fault("wrong lora", loading=lora_call(_another_adapter), applies=has_lora),
)
SLOWER = "unet twice as slow"
HEAVIER = "unet held twice"


def blindness(
    settings: Sequence[Setting], checks: Callable[[Setting], Check]
) -> list[BlindnessOutcome]:
    """Every fault in the candidate's place, against its own healthy baseline.

    ``checks``: of a setting, the gate's quality checks of a candidate's figures. A
    fault that no setting can show is left out.
    """
    outcomes = []
    for fault in track((*SAMPLE_FAULTS, *FAULTS), "faults judged by figures"):
        fitting = [s for s in settings if _can_show(fault, s.cell)]
        if fitting:
            images = draw(fitting[0].worker, fitting[0].cell, fault)
            outcomes.append(_outcome(fault.name, images, fitting[0], checks(fitting[0])))
    return outcomes


def draw(worker: Worker, cell: Cell, fault: Fault | None = None) -> Images:
    """All images of a cell, (N, H, W, 3) uint8, with a fault in the pipeline."""
    fault = fault or Fault("none")
    negative = None if fault.drops_negative else cell.negative_prompt
    worker.forget_adapters()
    rows = []
    try:
        with fault.loading():
            worker.prepare(cell.recipe)
        with fault.running(worker.pipeline()), worker.image_lane():
            for batch in cell.batches:
                worker.start_cold()
                rows.append(worker.run(fault.alter(batch), negative))
    finally:
        worker.forget_adapters()
    return np.concatenate(rows)


def hold_unet_twice(worker: Worker) -> None:
    """Keep a second copy of the UNet that nothing uses."""
    pipeline = worker.pipeline()
    pipeline.spare = copy.deepcopy(pipeline.unet)


@contextmanager
def slower_unet(worker: Worker) -> Iterator[None]:
    """Every call of the UNet is made twice; its result is that of one."""
    unet = worker.pipeline().unet
    forward = unet.forward

    def twice(*arguments: Any, **options: Any) -> Any:
        forward(*arguments, **options)
        return forward(*arguments, **options)

    with patched(unet, "forward", twice):
        yield


def _can_show(fault: Fault, cell: Cell) -> bool:
    # No PNG is written here: a wrong file is what goldens and the store's hashes see.
    return "png" not in fault.name and fault.applies(cell.batches[0], cell.negative_prompt)


def _outcome(name: str, images: Images, setting: Setting, check: Check) -> BlindnessOutcome:
    baseline = setting.baseline
    prompts, seeds = [list(column) for column in zip(*baseline.keys, strict=True)]
    names = [m.name for m in baseline.measurements]
    measured = tuple(measure(list(images), prompts, seeds, names, setting.context))
    rows = check(dataclasses.replace(baseline, measurements=measured))
    return BlindnessOutcome(
        name=name,
        setting=setting.name,
        caught=any(row.verdict != Verdict.PASS for row in rows),
        verdicts={row.name: row.verdict for row in rows},
        differences={row.name: row.difference for row in rows},
    )
