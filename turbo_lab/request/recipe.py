"""Recipes, batches and cells: a point of a sweep by content.

Owns the identity of work. A ``Request`` names a model as the user did (``nano-turbo``); a
``Recipe`` names it by the digest of its weights, so that neither a path nor a machine is part
of a cell's identity. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from turbo_lab.errors import InputError
from turbo_lab.identity import as_plain, digest, sha256_text
from turbo_lab.request.request import MAX_SEED, Request

AxisValues = tuple[tuple[str, object], ...]
"""Config keys that a sweep varies with one value each, in the order of the command line."""


@dataclass(frozen=True)
class Recipe:
    """Everything that the images of a cell have in common, by content. Part of every id."""

    model: str
    """Digest of the pipeline: of the digests of its weights and configs."""
    scheduler: str
    """Canonical JSON of the scheduler's class and config."""
    lora: tuple[tuple[str, float], ...]
    """Pairs of a LoRA file's digest and its weight, in order; weight 0 is left out."""
    num_inference_steps: int
    """Denoising steps."""
    guidance_scale: float
    """Guidance scale; 0.0 if guidance is off, so that 0, 0.5 and 1 are one cell."""
    negative_prompt: str | None
    """sha256 of the negative prompt; ``None`` if it has no effect."""
    width: int
    """Width of an image, in pixels."""
    height: int
    """Height of an image, in pixels."""
    dtype: str
    """Type of weights and latents."""
    variant: tuple[tuple[str, str], ...]
    """Changes to the pipeline itself (compilation, quantization, VAE), sorted by name."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a JSON object, as :func:`as_plain` writes it.

        Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else.
        """
        lora = tuple((str(key), float(weight)) for key, weight in values["lora"])
        variant = tuple((str(key), str(value)) for key, value in values["variant"])
        return cls(**{**values, "lora": lora, "variant": variant})

    @cached_property
    def digest(self) -> str:
        """Digest of all fields, which is part of every batch and cell id."""
        return digest(as_plain(self))

    @property
    def has_guidance(self) -> bool:
        """``True`` if guidance is on, whichever way the UNet gets it."""
        return self.guidance_scale > 1

    @property
    def embeds_guidance(self) -> bool:
        """``True`` if the UNet gets the guidance scale as an embedding, in every evaluation."""
        return ("guidance", "embedded") in self.variant

    @property
    def is_guided(self) -> bool:
        """``True`` if each step needs an unconditional row next to the conditional one."""
        return self.has_guidance and not self.embeds_guidance


@dataclass(frozen=True)
class Layout:
    """The images of one pipeline call, row by row; cells may share it."""

    prompts: tuple[str, ...]
    """Prompts, one per image."""
    seeds: tuple[int, ...]
    """Seeds, one per image."""

    @cached_property
    def digest(self) -> str:
        """Digest of the prompts' digests and the seeds, in row order."""
        prompts = [sha256_text(prompt) for prompt in self.prompts]
        return digest({"prompts": prompts, "seeds": list(self.seeds)})


@dataclass(frozen=True)
class Batch:
    """One call of the pipeline: the unit of work, of commit and of reuse."""

    recipe: Recipe
    """Recipe of the cell."""
    layout: Layout
    """Rows of the call."""

    @cached_property
    def batch_id(self) -> str:
        """Id by recipe and rows, because the batch size changes the bits of an image."""
        return sha256_text(f"batch\n{self.recipe.digest}\n{self.layout.digest}")


@dataclass(frozen=True)
class Cell:
    """One point of a sweep, ready to run."""

    request: Request
    """The point by names; only for display and for finding the weights."""
    recipe: Recipe
    """The point by content."""
    batches: tuple[Batch, ...]
    """Batches, in image order."""
    negative_prompt: str | None
    """Text of the negative prompt, whose digest is in the recipe; ``None`` if it has no effect."""
    axes: AxisValues
    """Config keys that the sweep varies, with their values."""
    prompt_set: str = ""
    """Digest of the prompt set; part of the record's provenance, and of no id."""
    misfit: str | None = None
    """Reason why it cannot be drawn, such as a LoRA for another model; ``None``: no reason."""
    notes: tuple[str, ...] = ()
    """Assumptions about it, and settings that have no effect; in no id."""

    @cached_property
    def cell_id(self) -> str:
        """Id by content: digest of the recipe and the ordered batches."""
        parts = ["cell", self.recipe.digest, *(batch.layout.digest for batch in self.batches)]
        return sha256_text("\n".join(parts))

    @property
    def num_images(self) -> int:
        """Number of images in all batches."""
        return sum(len(batch.layout.seeds) for batch in self.batches)


def split_layouts(
    prompts: Sequence[str], seeds: Sequence[int], batch_size: int
) -> tuple[Layout, ...]:
    """Return consecutive layouts of ``batch_size`` rows; the last one may be smaller."""
    return tuple(
        Layout(tuple(prompts[i : i + batch_size]), tuple(seeds[i : i + batch_size]))
        for i in range(0, len(seeds), batch_size)
    )


def image_order(
    prompts: Sequence[str], num_images: int | None, seed: int, seed_mode: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return prompt and seed of every image: image i has prompt i modulo the size of the set.

    With ``same``, all prompts of one round over the set share a seed, and the next round has
    the next seed; otherwise its images would repeat.
    """
    if not prompts:
        raise InputError("prompts: the set is empty; add at least one prompt")
    total = len(prompts) if num_images is None else num_images
    texts = tuple(prompts[i % len(prompts)] for i in range(total))
    offsets = (i if seed_mode == "increment" else i // len(prompts) for i in range(total))
    seeds = tuple(seed + offset for offset in offsets)
    if seeds[-1] > MAX_SEED:
        raise InputError(f"seed={seed}: seed + {total - 1} must be at most {MAX_SEED}")
    return texts, seeds
