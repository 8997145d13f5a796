"""What a cell is: a recipe by content, and the batches of images it asks for.

Owns the canonical form in which equal work has equal identity. A ``Request`` names things
as the user did (``model=nano-turbo``); a ``Recipe`` names them by content (weight digests), so
that neither a path nor a machine is part of a cell's identity. No I/O.
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
    """What every image of a cell shares, by content. Part of every id."""

    model: str
    """Digest over the per-file digests of the pipeline's weights and configs."""
    scheduler: str
    """Canonical JSON of the scheduler's class and config."""
    lora: tuple[tuple[str, float], ...]
    """(weight file digest, weight) in order; weight 0 is left out."""
    num_inference_steps: int
    """Denoising steps."""
    guidance_scale: float
    """0.0 wherever guidance is off, so that 0, 0.5 and 1 are one cell."""
    negative_prompt: str | None
    """sha256 of the text, or ``None`` where it has no effect."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    dtype: str
    """Of the pipeline's weights and latents."""
    variant: tuple[tuple[str, str], ...]
    """Changes to the pipeline itself (compile, quantisation, VAE), sorted."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a document: the inverse of :func:`as_plain`.

        Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else.
        """
        lora = tuple((str(key), float(weight)) for key, weight in values["lora"])
        variant = tuple((str(key), str(value)) for key, value in values["variant"])
        return cls(**{**values, "lora": lora, "variant": variant})

    @cached_property
    def digest(self) -> str:
        """Digest of all fields; part of every batch and cell id."""
        return digest(as_plain(self))

    @property
    def has_guidance(self) -> bool:
        """Whether the guidance scale has an effect, whichever way the UNet takes it."""
        return self.guidance_scale > 1

    @property
    def embeds_guidance(self) -> bool:
        """Whether the UNet takes guidance as an embedding: each evaluation then depends on it."""
        return ("guidance", "embedded") in self.variant

    @property
    def is_guided(self) -> bool:
        """Whether each step needs an unconditional row next to the conditional one."""
        return self.has_guidance and not self.embeds_guidance


@dataclass(frozen=True)
class Layout:
    """Which images one pipeline call makes, row by row. Shared between cells."""

    prompts: tuple[str, ...]
    """One text an image."""
    seeds: tuple[int, ...]
    """One seed an image."""

    @cached_property
    def digest(self) -> str:
        """Over the prompts' digests and the seeds, in row order."""
        prompts = [sha256_text(prompt) for prompt in self.prompts]
        return digest({"prompts": prompts, "seeds": list(self.seeds)})


@dataclass(frozen=True)
class Batch:
    """One call of the pipeline: the unit of work, of commit and of reuse."""

    recipe: Recipe
    """Shared by the batches of a cell."""
    layout: Layout
    """Its rows."""

    @cached_property
    def batch_id(self) -> str:
        """By content and layout: rows of another batch size are other bits."""
        return sha256_text(f"batch\n{self.recipe.digest}\n{self.layout.digest}")


@dataclass(frozen=True)
class Cell:
    """One point of a sweep, ready to run."""

    request: Request
    """As the user asked; only for display and for finding the weights."""
    recipe: Recipe
    """What is run."""
    batches: tuple[Batch, ...]
    """In image order."""
    negative_prompt: str | None
    """The text behind the recipe's digest; ``None`` where it has no effect."""
    axes: AxisValues
    """The config keys that this sweep varies, with their values."""
    prompt_set: str = ""
    """Digest of the set the prompts are from; in the record's provenance, in no id."""
    misfit: str | None = None
    """Why it cannot be drawn, such as a LoRA of another architecture; ``None``: nothing known."""

    @cached_property
    def cell_id(self) -> str:
        """Over the recipe and its ordered batches."""
        parts = ["cell", self.recipe.digest, *(batch.layout.digest for batch in self.batches)]
        return sha256_text("\n".join(parts))

    @property
    def num_images(self) -> int:
        """Images over all batches."""
        return sum(len(batch.layout.seeds) for batch in self.batches)


def split_layouts(
    prompts: Sequence[str], seeds: Sequence[int], batch_size: int
) -> tuple[Layout, ...]:
    """Consecutive batches of ``batch_size``; the last may be smaller."""
    return tuple(
        Layout(tuple(prompts[i : i + batch_size]), tuple(seeds[i : i + batch_size]))
        for i in range(0, len(seeds), batch_size)
    )


def image_order(
    prompts: Sequence[str], num_images: int | None, seed: int, seed_mode: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Prompt and seed of every image: prompt j is the set's j mod its size.

    With ``same``, all prompts of one round share a seed; a further round over
    the set takes the next one, or its images would repeat.
    """
    if not prompts:
        raise InputError("prompts: the set is empty; give at least one prompt")
    total = len(prompts) if num_images is None else num_images
    texts = tuple(prompts[i % len(prompts)] for i in range(total))
    offsets = (i if seed_mode == "increment" else i // len(prompts) for i in range(total))
    seeds = tuple(seed + offset for offset in offsets)
    if seeds[-1] > MAX_SEED:
        raise InputError(f"seed={seed}: seed + {total - 1} must be at most {MAX_SEED}")
    return texts, seeds
