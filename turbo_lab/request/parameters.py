"""A cell's settings by config key, as its record and its documents show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.request.request import format_lora
from turbo_lab.untrusted.typed_json import INLINE, OMITTED, to_plain

if TYPE_CHECKING:
    from turbo_lab.request.recipe import Cell


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Values of a cell's config keys, as a person would write them.

    A key that a later version adds needs a default, so that older records are still read.
    """

    model: str
    """Name of the model card."""
    prompts: str
    """Name of the prompt set."""
    num_inference_steps: int
    """Denoising steps."""
    guidance_scale: float
    """Classifier-free guidance; at most 1 means none."""
    resolution: str
    """Width and height in pixels, such as ``64x64``."""
    batch_size: int
    """Images per pipeline call."""
    lora: str
    """Adapters and their weights, such as ``flat@0.8+ink@0.5``, or ``none``."""
    seed: int
    """Seed of the first image."""
    seed_mode: str
    """``increment``: image i has seed + i; ``same``: every prompt has the same seed."""
    negative_prompt: str | None
    """Text of the negative prompt. ``None``: none was given."""
    scheduler: str | None
    """Class of the scheduler. ``None``: the checkpoint's own."""
    dtype: str
    """Type of the weights and latents, such as ``float32``."""
    vae: str | None
    """Packaged VAE, or a folder. ``None``: the checkpoint's own."""
    pipeline: str | None = None
    """Name of the pipeline preset. ``None``: written by a version without presets."""
    pipeline_keys: PipelineKeys = field(default=PipelineKeys(), metadata=INLINE)
    """Settings of the pipeline itself, those of the preset included."""
    num_images: int
    """Number of images."""
    image: str | None = field(default=None, metadata=OMITTED)
    """File or folder of the source images. Absent for text to image."""
    strength: float | None = field(default=None, metadata=OMITTED)
    """Share of the steps that are run on a source image. Absent for text to image."""

    @classmethod
    def of(cls, cell: Cell) -> Parameters:
        """Return the settings of a resolved cell."""
        request = cell.request
        return cls(
            model=request.model,
            prompts=request.prompts,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            resolution=f"{request.width}x{request.height}",
            batch_size=request.batch_size,
            lora=format_lora(request.lora),
            seed=request.seed,
            seed_mode=request.seed_mode,
            negative_prompt=request.negative_prompt,
            scheduler=request.scheduler,
            dtype=request.dtype,
            vae=request.vae,
            pipeline=request.preset,
            pipeline_keys=request.pipeline,
            num_images=cell.num_images,
            image=request.image,
            strength=request.strength,
        )

    def by_key(self) -> dict[str, object]:
        """Return the values by config key."""
        found: dict[str, object] = to_plain(self)
        return found
