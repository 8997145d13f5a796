"""Image to image: the latents of source images, and the stock pipeline that begins from them.

Owns how source images become latents: one VAE call per distinct image for any size of the batch,
because diffusers encodes image by image too when each has its own generator. So an
encoding is shared between rows and batches and keeps the bits of the stock call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    retrieve_latents,
)
from PIL import Image

from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch
from turbo_lab.request.source import Size
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams

if TYPE_CHECKING:
    from turbo_lab.runtime.stages import Stages

# Encodings kept for later batches: half a MiB each at 1024 x 1024.
_KEPT = 256
# What offloading leaves on a pipeline, next to its hooks on the modules.
_OF_OFFLOADING = ("_all_hooks", "_offload_device", "_offload_gpu_id")

SourceReader = Callable[[str, Size], np.ndarray]
"""Function from a source's digest and a size to its pixels, (H, W, 3) uint8 RGB."""


def no_sources(digest: str, size: Size) -> np.ndarray:
    """Answer for a sampler that is given no source images."""
    raise AssertionError(f"source image {digest[:12]} of {size} was not passed on")


def source_pictures(batch: Batch, read: SourceReader) -> list[Image.Image]:
    """Return the source image of each row, at the size of the batch."""
    size = (batch.recipe.width, batch.recipe.height)
    found = {digest: read(digest, size) for digest in dict.fromkeys(batch.layout.sources)}
    return [Image.fromarray(found[digest]) for digest in batch.layout.sources]


def stock_image_to_image(pipeline: StableDiffusionXLPipeline) -> StableDiffusionXLImg2ImgPipeline:
    """Return diffusers' image-to-image pipeline on the parts of a loaded pipeline."""
    parts = {name: part for name, part in pipeline.components.items() if part is not None}
    found = StableDiffusionXLImg2ImgPipeline(
        **parts,
        force_zeros_for_empty_prompt=pipeline.config.force_zeros_for_empty_prompt,
        add_watermarker=False,
    )
    for name in _OF_OFFLOADING:
        if name in vars(pipeline):
            setattr(found, name, getattr(pipeline, name))
    found.watermark = pipeline.watermark
    found.set_progress_bar_config(disable=True)
    return found


@dataclass
class SourceLatents:
    """Latents of source images, with the encodings made so far."""

    pipeline: StableDiffusionXLPipeline
    """Pipeline whose VAE encodes."""
    read: SourceReader
    """Reads the pixels of a source."""
    work: WorkDone
    """Counts of the encoded images."""
    seams: Seams = SWEEP_SEAMS
    """Steps that a trial may have replaced."""
    _encoded: OrderedDict[tuple[str, Size], Any] = field(default_factory=OrderedDict)

    def draw(
        self,
        batch: Batch,
        generators: Sequence[torch.Generator],
        stages: Stages,
        dtype: torch.dtype,
        is_shared: bool,
    ) -> torch.Tensor:
        """Return the scaled latents of each row's source: (N, C, h, w).

        Each generator draws one sample from the encoding of its image; a VAE that encodes to
        one point (``AutoencoderTiny``) draws none. ``is_shared``: encodings of earlier batches
        serve, and are kept for later ones.
        """
        known = self._encoded if is_shared else OrderedDict()
        size = (batch.recipe.width, batch.recipe.height)
        latents = []
        for digest, generator in zip(batch.layout.sources, generators, strict=True):
            key = (digest, size)
            if key not in known:
                known[key] = self.seams.encode_source(
                    partial(stages.encode, dtype=dtype), self._tensor(digest, size)
                )
                self.work.source_rows += 1
            known.move_to_end(key)
            latents.append(retrieve_latents(known[key], generator=generator))
        while len(known) > _KEPT:
            known.popitem(last=False)
        scaled: torch.Tensor = self.pipeline.vae.config.scaling_factor * torch.cat(latents).to(
            dtype
        )
        return scaled

    def _tensor(self, digest: str, size: Size) -> torch.Tensor:
        """Return a source as diffusers' image processor makes it: (1, 3, H, W) in [-1, 1]."""
        processor: VaeImageProcessor = self.pipeline.image_processor
        tensor: torch.Tensor = processor.preprocess(Image.fromarray(self.read(digest, size)))
        return tensor
