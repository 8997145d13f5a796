"""Recipes, batches and cells: a point of a sweep by content.

Owns the identity of work. A ``Request`` names a model as the user did (``nano-turbo``); a
``Recipe`` names it by the digest of its weights, so that neither a path nor a machine is part
of a cell's identity. No I/O.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from turbo_lab.errors import InputError
from turbo_lab.identity import digest, sha256_text
from turbo_lab.request.request import MAX_SEED, Request
from turbo_lab.untrusted.typed_json import OMITTED, read_typed, to_plain

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
    strength: float | None = field(default=None, metadata=OMITTED)
    """Share of the steps that are run on a source image; ``None``: text to image."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a JSON object, as :meth:`plain` writes it.

        Raises ``ValueError`` for anything else, also for a field of a later version: it would
        change the images.
        """
        if unknown := sorted(set(values) - {one.name for one in fields(cls)}):
            raise ValueError(f"the recipe has {', '.join(unknown)}, which this version cannot draw")
        return read_typed(cls, values)

    def plain(self) -> dict[str, object]:
        """Return the recipe as a JSON object; what text to image lacks is left out."""
        values: dict[str, object] = to_plain(self)
        return values

    @cached_property
    def digest(self) -> str:
        """Digest of all fields, which is part of every batch and cell id."""
        return digest(self.plain())

    @property
    def steps_run(self) -> int:
        """Number of steps that are run: the last ones, on a source image."""
        if self.strength is None:
            return self.num_inference_steps
        return steps_run(self.num_inference_steps, self.strength)

    @property
    def weights(self) -> tuple[str, ...]:
        """Digests of its model, its LoRAs and the VAE that replaces the model's."""
        vaes = [value for key, value in self.variant if key == "vae"]
        return (self.model, *(key for key, _ in self.lora), *vaes)

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
    sources: tuple[str, ...] = ()
    """Digests of the source images, one per image; empty: text to image."""

    @cached_property
    def digest(self) -> str:
        """Digest of the prompts' digests, the seeds and the source images, in row order."""
        rows = {"prompts": [sha256_text(prompt) for prompt in self.prompts]}
        sources = {"sources": list(self.sources)} if self.sources else {}
        return digest({**rows, "seeds": list(self.seeds), **sources})

    def part(self, rows: slice) -> Layout:
        """Return some of the rows, as another call."""
        return Layout(self.prompts[rows], self.seeds[rows], self.sources[rows])


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
        return cell_id(self.recipe, [batch.layout for batch in self.batches])

    @property
    def num_images(self) -> int:
        """Number of images in all batches."""
        return sum(len(batch.layout.seeds) for batch in self.batches)


def cell_id(recipe: Recipe, layouts: Sequence[Layout]) -> str:
    """Return the id of a cell of these rows: digest of the recipe and the ordered batches."""
    parts = ["cell", recipe.digest, *(layout.digest for layout in layouts)]
    return sha256_text("\n".join(parts))


def steps_run(num_inference_steps: int, strength: float) -> int:
    """Return the number of steps that diffusers runs on a source image; 0: none."""
    return min(int(num_inference_steps * strength), num_inference_steps)


def canonical_strength(num_inference_steps: int, strength: float) -> float:
    """Return the lowest strength that runs as many steps: 0.5 of 2 steps is 0.9 of them.

    Below one step it is the strength itself.
    """
    steps = steps_run(num_inference_steps, strength)
    return lowest_strength(num_inference_steps, steps) if steps else strength


def fewest_steps(strength: float | None) -> int:
    """Return the smallest ``num_inference_steps`` that runs a step at a strength."""
    return 1 if strength is None else math.ceil(1 / strength)


def lowest_strength(num_inference_steps: int, steps: int) -> float:
    """Return the lowest strength that runs ``steps`` of all steps on a source image."""
    lowest = steps / num_inference_steps
    is_short = steps_run(num_inference_steps, lowest) < steps  # rounded down
    return math.nextafter(lowest, 1.0) if is_short else lowest


def split_layouts(
    prompts: Sequence[str],
    seeds: Sequence[int],
    batch_size: int,
    sources: Sequence[str] = (),
) -> tuple[Layout, ...]:
    """Return consecutive layouts of ``batch_size`` rows; the last one may be smaller.

    ``sources``: digests of source images, which image i takes in turn; empty: there are none.
    """
    rows = tuple(sources[i % len(sources)] for i in range(len(seeds))) if sources else ()
    whole = Layout(tuple(prompts), tuple(seeds), rows)
    return tuple(whole.part(slice(i, i + batch_size)) for i in range(0, len(seeds), batch_size))


def image_order(
    prompts: Sequence[str],
    num_images: int | None,
    seed: int,
    seed_mode: str,
    num_sources: int = 0,
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return prompt and seed of every image: image i has prompt i modulo the size of the set.

    With ``same``, all prompts of one round over the set share a seed, and the next round has
    the next seed; otherwise its images would repeat. A round goes over all source images too,
    of which there are ``num_sources``: image i begins from source i modulo their number.
    """
    if not prompts:
        raise InputError("prompts: the set is empty; add at least one prompt")
    round_size = max(len(prompts), num_sources)
    total = round_size if num_images is None else num_images
    texts = tuple(prompts[i % len(prompts)] for i in range(total))
    offsets = (i if seed_mode == "increment" else i // round_size for i in range(total))
    seeds = tuple(seed + offset for offset in offsets)
    if seeds[-1] > MAX_SEED:
        raise InputError(f"seed={seed}: seed + {total - 1} must be at most {MAX_SEED}")
    return texts, seeds
