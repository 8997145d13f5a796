"""Which faults the gate would see: each put into the candidate, each check asked.

Faults of the pipeline are those of the goldens; to them come faults that only a
sample shows: one black frame in twenty, noise, blur, captions of other images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab.baseline import Baseline
from turbo_lab.compare import Row
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import Worker
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.sources import MetricContext
from turbo_lab.spec import Batch, Cell
from turbo_lab.trials.faults import FAULTS, Fault

Images = np.ndarray


@dataclass(frozen=True)
class BlindnessOutcome:
    """What the gate's quality checks said of one fault."""

    name: str
    """Of the fault."""
    caught: bool
    """Some check did not pass, so that the gate would not have."""
    verdicts: dict[str, str]
    """By check."""
    differences: dict[str, float | None]
    """By check."""


def black_frames(images: Images, prompts: list[str]) -> tuple[Images, list[str]]:
    """Every twentieth image is black."""
    changed = images.copy()
    changed[::20] = 0
    return changed, prompts


def noisy(images: Images, prompts: list[str]) -> tuple[Images, list[str]]:
    """Normal noise of 30 levels."""
    noise = np.random.default_rng(0).normal(0, 30, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8), prompts


def blurred(images: Images, prompts: list[str]) -> tuple[Images, list[str]]:
    """Means of 7 x 7 pixels, at the edges of what is there."""
    from PIL import Image, ImageFilter

    made = [np.asarray(Image.fromarray(image).filter(ImageFilter.BoxBlur(3))) for image in images]
    return np.stack(made), prompts


def shuffled(images: Images, prompts: list[str]) -> tuple[Images, list[str]]:
    """Every image under the caption of the next one: as if the prompt set were out of order."""
    return np.roll(images, 1, axis=0), prompts


IMAGE_FAULTS: dict[str, Callable[[Images, list[str]], tuple[Images, list[str]]]] = {
    "one frame in 20 black": black_frames,
    "noise of 30 levels": noisy,
    "blurred": blurred,
    "prompt set shuffled": shuffled,
}


def blindness(
    cell: Cell,
    worker: Worker,
    baseline: Baseline,
    context: MetricContext,
    check: Callable[[Baseline], Sequence[Row]],
) -> list[BlindnessOutcome]:
    """Every fault in the candidate's place, against its own healthy baseline.

    ``check``: the gate's quality checks of a candidate's figures.
    """
    healthy = draw(worker, cell, None)
    prompts = [prompt for prompt, _ in baseline.keys]
    outcomes = []
    for name, change in IMAGE_FAULTS.items():
        outcomes.append(_outcome(name, *change(healthy, prompts), baseline, context, check))
    for fault in FAULTS:
        # No PNG is written here, and a cell only shows what applies to it.
        if fault.applies(cell.batches[0], cell.negative_prompt) and "png" not in fault.name:
            images = draw(worker, cell, fault)
            outcomes.append(_outcome(fault.name, images, prompts, baseline, context, check))
    return outcomes


def draw(worker: Worker, cell: Cell, fault: Fault | None) -> Images:
    """All images of a cell, (N, H, W, 3) uint8, with a fault in the pipeline."""
    fault = fault or Fault("none")
    rows = []
    for batch in cell.batches:
        altered: Batch = fault.alter(batch)
        worker.forget_adapters()
        try:
            with fault.loading():
                worker.prepare(batch.recipe)
            worker.start_cold()
            negative = None if fault.drops_negative else cell.negative_prompt
            with fault.running(worker.pipeline()), worker.image_lane():
                rows.append(worker.run(altered, negative))
        finally:
            worker.forget_adapters()
    return np.concatenate(rows)


def _outcome(
    name: str,
    images: Images,
    prompts: list[str],
    baseline: Baseline,
    context: MetricContext,
    check: Callable[[Baseline], Sequence[Row]],
) -> BlindnessOutcome:
    seeds = [seed for _, seed in baseline.keys]
    names = [m.name for m in baseline.measurements]
    if len(images) != len(seeds):
        raise InputError(f"gate mutate: {len(images)} images for {len(seeds)} of the baseline")
    measured = tuple(measure(list(images), prompts, seeds, names, context))
    rows = check(dataclasses.replace(baseline, measurements=measured))
    return BlindnessOutcome(
        name=name,
        caught=any(row.verdict != "pass" for row in rows),
        verdicts={row.name: row.verdict for row in rows},
        differences={row.name: row.difference for row in rows},
    )
