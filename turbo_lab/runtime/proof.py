"""The proof that the exact loop has the stock call's bits on this device.

Owns the comparison: one batch is drawn both ways, stage by stage. A part whose stage
differs is given back to the stock call, and the batch is drawn again.
"""

from __future__ import annotations

import numpy as np
import torch

from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.exact import ExactStages, Part
from turbo_lab.runtime.graphs import same_bits
from turbo_lab.runtime.image_to_image import SourceReader, no_sources, source_pictures
from turbo_lab.runtime.sampler import Sampler
from turbo_lab.runtime.stock import stock_arguments, stock_pipeline
from turbo_lab.runtime.trace import traced_call

# A stage's part; any other stage is the loop's own.
_PARTS: dict[str, Part] = {
    "noise": "noise",
    "encode": "encode",
    "prompt_embeds": "text",
    "pooled_prompt_embeds": "text",
    "unet": "unet",
    "latents": "noise",
    "vae": "vae",
}


def prove(
    stages: ExactStages,
    batch: Batch,
    negative_prompt: str | None,
    sources: SourceReader = no_sources,
) -> None:
    """Draw a batch by the stock call and by the exact loop, and give back what differs.

    At most every part is given back; a loop that differs even then is given back as a whole.
    """
    sampler = Sampler(stages.pipeline, stages.device, WorkDone(), stages=stages, sources=sources)
    expected, pixels = _stock_stages(sampler, stages, batch, negative_prompt)
    while "loop" not in stages.given_back:
        stage = _first_difference(
            sampler, batch, negative_prompt=negative_prompt, expected=expected, pixels=pixels
        )
        if stage is None:
            return
        part = _PARTS.get(stage.partition(".")[0], "loop")
        stages.give_back("loop" if part in stages.given_back else part, stage)


def _stock_stages(
    sampler: Sampler, stages: ExactStages, batch: Batch, negative_prompt: str | None
) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """Return the stages of the stock call, and its images."""
    pipeline = stock_pipeline(sampler.pipeline, batch.recipe, sampler.seams.make_scheduler)
    pictures = source_pictures(batch, sampler.sources)
    arguments = stock_arguments(batch, negative_prompt, sampler.seams, pictures)
    with stages.as_loaded():
        pixels, traced = traced_call(pipeline, arguments, has_source=bool(pictures))
    return traced, pixels


def _first_difference(
    sampler: Sampler,
    batch: Batch,
    negative_prompt: str | None,
    expected: dict[str, torch.Tensor],
    pixels: np.ndarray,
) -> str | None:
    """Return the first stage whose bits are not those of the stock call; ``None``: all are."""
    drawn: dict[str, torch.Tensor] = {}

    def keep(stage: str, tensor: torch.Tensor) -> torch.Tensor:
        drawn[stage] = tensor
        return tensor

    images = sampler.run_alone(batch, negative_prompt, keep)
    rows = len(batch.layout.seeds)
    for stage, tensor in drawn.items():
        own = tensor
        if stage == "noise" and not batch.layout.sources:  # the stock call shows it scaled
            own = tensor * sampler.pipeline.scheduler.init_noise_sigma
        elif "prompt_embeds" in stage:  # the stock call shows the positive half
            own = tensor[-rows:]
        if not same_bits(own, expected[stage]):
            return stage
    return None if (images == pixels).all() else "pixels"
