"""The stock pipeline in the sampler's place, for what the sampler's loop does not cover.

Owns the list of what is not covered. Nothing is shared here: each batch is one
call of ``StableDiffusionXLPipeline``, and the worker reports it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.planning.plan import WorkDone, is_guided
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.noise import image_generators
from turbo_lab.runtime.pipeline import make_scheduler
from turbo_lab.runtime.sampler import Observer, SharedWork, pass_on
from turbo_lab.runtime.trace import traced_call


def why_not_covered(pipeline: StableDiffusionXLPipeline) -> str | None:
    """What the sampler would draw otherwise than the stock call; ``None`` if nothing."""
    reasons = {
        "an IP adapter": pipeline.unet.encoder_hid_proj is not None,
        "a VAE with latent statistics": getattr(pipeline.vae.config, "latents_mean", None)
        is not None,
        "a watermark": pipeline.watermark is not None,
    }
    return next((reason for reason, found in reasons.items() if found), None)


@dataclass
class StockSampler:
    """Runs batches one by one through the pipeline's own call."""

    pipeline: StableDiffusionXLPipeline
    """With the adapters of the batch already on it."""
    device: torch.device
    """Where the weights are."""
    work: WorkDone
    """Where evaluated rows are counted."""
    observe: Observer = pass_on
    """Is shown each stage's tensor once the call is over; what it returns is not used."""

    def run(self, batch: Batch, negative_prompt: str | None, shared: SharedWork) -> np.ndarray:
        """The batch's images, (N, H, W, 3) uint8 RGB in [0, 255]; ``shared`` stays empty."""
        recipe, rows = batch.recipe, len(batch.layout.seeds)
        self.pipeline.scheduler = make_scheduler(recipe.scheduler)
        arguments = {
            "prompt": list(batch.layout.prompts),
            "negative_prompt": None if negative_prompt is None else [negative_prompt] * rows,
            "num_inference_steps": recipe.num_inference_steps,
            "guidance_scale": recipe.guidance_scale,
            "width": recipe.width,
            "height": recipe.height,
            "generator": image_generators(batch.layout.seeds),
        }
        images, stages = traced_call(self.pipeline, arguments)
        # The stock call encodes before it draws noise; a record's order is the other.
        for stage in sorted(stages, key=lambda stage: stage != "noise"):
            self.observe(stage, stages[stage])
        guided = is_guided(recipe)
        zeros = negative_prompt is None and self.pipeline.config.force_zeros_for_empty_prompt
        calls = len(self.pipeline.scheduler.timesteps)
        self.work.unet_calls += calls
        self.work.unet_rows += calls * rows * (2 if guided else 1)
        self.work.text_rows += rows * (2 if guided and not zeros else 1)
        self.work.vae_rows += rows
        return images

    def forget_encodings(self) -> None:
        """There are none."""
