"""The steps of drawing that a trial may replace, each with the one that a sweep uses.

Owns the points at which a fault or a harmless change enters. Imports torch only
when a step is called, so that trials can name their changes without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turbo_lab import images

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionXLPipeline

    Observer = Callable[[str, torch.Tensor], torch.Tensor]
    """Called with each stage's name and tensor; the tensor that it returns takes its place."""

Encoded = tuple[Any, Any, Any, Any]
"""Embeddings as ``encode_prompt`` returns them: positive, negative, pooled, negative pooled."""
Adapters = Sequence[tuple[str, Path, float]]
"""Name, file and weight of each adapter, in order."""


def pass_on(stage: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a stage's tensor as it is."""
    return tensor


def make_scheduler(scheduler: str) -> Any:
    """Make the scheduler of a recipe from its canonical JSON."""
    from turbo_lab.runtime import pipeline

    return pipeline.make_scheduler(scheduler)


def image_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """Make one fresh CPU generator per image."""
    from turbo_lab.runtime import noise

    return noise.image_generators(seeds)


def encode_prompt(encode: Callable[..., Encoded], **options: Any) -> Encoded:
    """Call ``encode``, the pipeline's ``encode_prompt``, with its own arguments."""
    return encode(**options)


def decode(run: Callable[[torch.Tensor], torch.Tensor], latents: torch.Tensor) -> torch.Tensor:
    """Decode scaled latents, (N, C, h, w), to (N, 3, H, W) in [-1, 1]; ``run`` calls the VAE."""
    return run(latents)


def read_source(path: Path, digest: str, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a source image at a size, (H, W, 3) uint8 RGB; checks its digest."""
    from turbo_lab.request.source import source_pixels

    return source_pixels(path, digest, size)


def encode_source(run: Callable[[torch.Tensor], Any], image: torch.Tensor) -> Any:
    """Encode a source image, (1, 3, H, W) in [-1, 1]; ``run`` calls the VAE's encoder."""
    return run(image)


def put_on_lora(pipeline: StableDiffusionXLPipeline, adapters: Adapters) -> None:
    """Load adapters onto a pipeline, in order, and activate them together."""
    from turbo_lab.runtime import lora

    lora.put_on(pipeline, adapters)


@dataclass(frozen=True)
class Seams:
    """One implementation per replaceable step of drawing; the defaults are those of a sweep."""

    make_scheduler: Callable[[str], Any] = make_scheduler
    """Scheduler of a batch, from the canonical JSON of its recipe."""
    make_generators: Callable[[Sequence[int]], list[Any]] = image_generators
    """CPU generators of a batch, one per image, from its seeds."""
    encode_prompt: Callable[..., Encoded] = encode_prompt
    """Text encoding: the pipeline's own method first, then its arguments by keyword."""
    decode: Callable[[Callable[[Any], Any], Any], Any] = decode
    """VAE decoding: the call of the VAE first, then the scaled latents."""
    read_source: Callable[[Path, str, tuple[int, int]], np.ndarray] = read_source
    """Pixels of a source image, from its file, digest and size (width, height)."""
    encode_source: Callable[[Callable[[Any], Any], Any], Any] = encode_source
    """VAE encoding of a source image: the call of the encoder first, then the image."""
    put_on_lora: Callable[[Any, Adapters], None] = put_on_lora
    """Loading of the adapters onto the resident pipeline."""
    encode_png: Callable[[np.ndarray, Mapping[str, str]], bytes] = images.encode_png
    """PNG file of an image, (H, W, 3) uint8, with its text chunks."""
    sdpa_backends: tuple[Any, ...] | None = None
    """Attention backends in order of preference; ``None``: those of the image lane."""


SWEEP_SEAMS = Seams()
