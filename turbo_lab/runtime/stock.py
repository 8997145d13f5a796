"""Drawing by the stock pipeline, for what the sampler's loop does not cover.

Owns the list of what is not covered, and the arguments of the stock call, which
the timing lane times as well. Nothing is shared here: each batch is one call of
``StableDiffusionXLPipeline``, or of its image-to-image pipeline, and the runner adds a
note that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from PIL.Image import Image

from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch, Recipe
from turbo_lab.runtime.finite import all_finite, refuse_non_finite
from turbo_lab.runtime.image_to_image import (
    SourceReader,
    no_sources,
    source_pictures,
    stock_image_to_image,
)
from turbo_lab.runtime.sampler import SharedWork
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams, pass_on
from turbo_lab.runtime.trace import traced_call
from turbo_lab.runtime.wrapping import wrapped

if TYPE_CHECKING:
    from turbo_lab.runtime.seams import Observer


def why_not_covered(pipeline: StableDiffusionXLPipeline) -> str | None:
    """Name the feature that the sampler does not support; ``None`` if it supports all."""
    reasons = {
        "an IP adapter": pipeline.unet.encoder_hid_proj is not None,
        "a VAE with latent statistics": getattr(pipeline.vae.config, "latents_mean", None)
        is not None,
        "a watermark": pipeline.watermark is not None,
        "offloaded weights": bool(getattr(pipeline, "_all_hooks", None))
        or getattr(pipeline.unet, "_hf_hook", None) is not None,
    }
    return next((reason for reason, found in reasons.items() if found), None)


def stock_pipeline(
    pipeline: StableDiffusionXLPipeline, recipe: Recipe, make_scheduler: Callable[[str], Any]
) -> Any:
    """Return the pipeline whose own call draws a recipe, with a new scheduler on it."""
    found: Any = pipeline if recipe.strength is None else stock_image_to_image(pipeline)
    found.scheduler = make_scheduler(recipe.scheduler)
    return found


def stock_arguments(
    batch: Batch, negative_prompt: str | None, seams: Seams, pictures: Sequence[Image] = ()
) -> dict[str, Any]:
    """Return the stock call's arguments for a batch, with fresh generators.

    ``pictures``: source image of each row; empty for text to image.
    """
    recipe, layout = batch.recipe, batch.layout
    size = {"width": recipe.width, "height": recipe.height}
    source = {"image": list(pictures), "strength": recipe.strength}
    return {
        "prompt": list(layout.prompts),
        "negative_prompt": None
        if negative_prompt is None
        else [negative_prompt] * len(layout.prompts),
        "num_inference_steps": recipe.num_inference_steps,
        "guidance_scale": recipe.guidance_scale,
        **(size if recipe.strength is None else source),
        "generator": seams.make_generators(layout.seeds),
    }


@dataclass
class StockSampler:
    """A sampler that draws each batch by the pipeline's own call."""

    pipeline: StableDiffusionXLPipeline
    """Pipeline with the adapters of the batch already on it."""
    device: torch.device
    """Device of the weights."""
    work: WorkDone
    """Counts of the evaluated rows."""
    seams: Seams = SWEEP_SEAMS
    """Steps that a trial may have replaced."""
    sources: SourceReader = no_sources
    """Reads the pixels of source images."""

    def run(
        self,
        batch: Batch,
        negative_prompt: str | None,
        shared: SharedWork,
        observe: Observer = pass_on,
    ) -> np.ndarray:
        """Return the batch's images, (N, H, W, 3) uint8 RGB in [0, 255]; ``shared`` stays empty.

        ``observe`` is called after the stock call; the tensors that it returns are not used.
        """
        recipe, rows = batch.recipe, len(batch.layout.seeds)
        pipeline = stock_pipeline(self.pipeline, recipe, self.seams.make_scheduler)
        pictures = source_pictures(batch, self.sources)
        arguments = stock_arguments(batch, negative_prompt, self.seams, pictures)
        with ExitStack() as stack:
            stack.enter_context(wrapped(pipeline, "encode_prompt", self._encoding))
            stack.enter_context(wrapped(pipeline.vae, "encode", self._source_encoding))
            stack.enter_context(wrapped(pipeline.vae, "decode", self._decoding))
            images, stages = traced_call(pipeline, arguments, has_source=bool(pictures))
        # The stock call encodes before it draws noise; records have the other order.
        first = [stage for stage in ("noise", "encode") if stage in stages]
        stages = {stage: stages[stage] for stage in [*first, *stages]}
        if not all_finite(stages["vae"]):
            refuse_non_finite(stages, self.pipeline, recipe)
        for stage, tensor in stages.items():
            observe(stage, tensor)
        guided = recipe.is_guided
        zeros = negative_prompt is None and self.pipeline.config.force_zeros_for_empty_prompt
        calls = sum(stage.startswith("unet.") for stage in stages)
        self.work.unet_calls += calls
        self.work.unet_rows += calls * rows * (2 if guided else 1)
        self.work.text_rows += rows * (2 if guided and not zeros else 1)
        self.work.vae_rows += rows
        self.work.source_rows += len(pictures)
        return images

    def _encoding(self, encode: Callable[..., Any]) -> Callable[..., Any]:
        return partial(self.seams.encode_prompt, encode)

    def _source_encoding(self, encode: Callable[..., Any]) -> Callable[..., Any]:
        return partial(self.seams.encode_source, encode)

    def _decoding(self, decode: Callable[..., Any]) -> Callable[..., Any]:
        def call(latents: torch.Tensor, **options: Any) -> tuple[torch.Tensor]:
            options["return_dict"] = False
            return (self.seams.decode(lambda scaled: decode(scaled, **options)[0], latents),)

        return call
