"""Groups of batches, the work that they share, and the number of rows that it takes.

Owns the rules of sharing, as keys: batches of a group with equal keys have equal tensors at
that point of their runs. The runtime shares by the same keys, so that a plan's counts are what
a run computes. Pure, and without torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from turbo_lab.planning.scheduler_table import (
    FirstStep,
    evaluations,
    first_evaluation,
    scheduler_config,
)
from turbo_lab.request.recipe import Batch, Cell, Layout, Recipe

# From a known start, the only step of these two is the same sum.
_EQUAL_IN_ONE_STEP = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")


@dataclass(frozen=True)
class Job:
    """One batch to run, with the cells that it belongs to."""

    batch: Batch
    """The batch."""
    cells: tuple[Cell, ...]
    """At least one cell; more if longer cells begin with the same batch."""


@dataclass(frozen=True)
class Group:
    """Batches that share weights, rows and size, and with them most of the work.

    All have one text encoding. Those that start at the same point have one first UNet
    evaluation. Noise is drawn for each batch: that is cheap, and its generator is used again
    by schedulers that add noise.
    """

    layout: Layout
    """The rows of every batch in the group."""
    jobs: tuple[Job, ...]
    """Jobs in the order to run them: fewest steps first."""


@dataclass
class WorkDone:
    """Rows that were evaluated so far."""

    unet_rows: int = 0
    """Rows of all UNet calls."""
    unet_calls: int = 0
    """Forward passes of the UNet."""
    vae_rows: int = 0
    """Decoded images."""
    text_rows: int = 0
    """Encoded prompts."""
    source_rows: int = 0
    """Encoded source images."""


def planned_rows(groups: Sequence[Group], share: str) -> WorkDone:
    """Return the rows that running ``groups`` evaluates; calls are not counted."""
    facts = FactsByRecipe()
    is_batched, is_alone = share == "batched", share == "none"
    unet_rows = _unet_rows_batched if is_batched else _unet_rows
    by_group = [[group] for group in groups] if is_alone else [groups]
    return WorkDone(
        unet_rows=sum(unet_rows(group, facts) for group in groups),
        vae_rows=sum(_vae_rows(group, facts, is_shared=not is_batched) for group in groups),
        text_rows=sum(map(_text_rows, by_group)),
        source_rows=sum(map(_source_rows, by_group)),
    )


def unet_rows_per_image(recipe: Recipe) -> int:
    """Return the UNet rows of an image that shares nothing."""
    return _evaluations(recipe) * _width(recipe)


def text_rows_per_image(recipe: Recipe) -> int:
    """Return the encoded prompts of an image that shares nothing."""
    return 1 if recipe.negative_prompt is None else 2


def start_of(recipe: Recipe) -> FirstStep | None:
    """Return where a recipe's run starts; ``None`` if its scheduler is unknown."""
    steps = recipe.num_inference_steps
    skipped = steps - recipe.steps_run
    return first_evaluation(scheduler_config(recipe.scheduler), steps, skipped)


def start_key(recipe: Recipe) -> Hashable | None:
    """Return a key of the first UNet evaluation, equal for batches of a group that share it.

    ``None``: it shares none. Guided and unguided batches never share one, because a row of a
    doubled batch does not have the bits of the same row alone.
    """
    start = start_of(recipe)
    if start is None:
        return None
    guided = recipe.is_guided
    embedded = recipe.guidance_scale if recipe.embeds_guidance else None
    negative = recipe.negative_prompt if guided else None
    return ("start", start, _noising(recipe), guided, negative, embedded)


def end_key(recipe: Recipe) -> Hashable | None:
    """Return a key of the last latents, equal for batches of a group that end in the same ones.

    ``None``: nothing is known. Euler's single step and Euler ancestral's are the same sum,
    because the ancestral noise is multiplied by zero.
    """
    start = start_key(recipe)
    if start is None or recipe.steps_run != 1:
        return None
    config = scheduler_config(recipe.scheduler)
    if config.class_name not in _EQUAL_IN_ONE_STEP:
        return None
    return ("end", start, recipe.guidance_scale, config.prediction_type)


def first_rows(batch: Batch) -> list[Hashable] | None:
    """Return a name for each row of a batch's first UNet evaluation, unconditional rows first.

    Rows of a group with equal names have equal inputs. ``None``: the start is unknown.
    """
    recipe, layout = batch.recipe, batch.layout
    start = start_of(recipe)
    if start is None:
        return None
    embedded = recipe.guidance_scale if recipe.embeds_guidance else None
    negative = [("negative", recipe.negative_prompt)] * (len(layout.seeds) * recipe.is_guided)
    texts = [*negative, *(("prompt", prompt) for prompt in layout.prompts)]
    seeds = layout.seeds * _width(recipe)
    sources = (layout.sources or (None,) * len(layout.seeds)) * _width(recipe)
    how = (start, _noising(recipe), embedded)
    return [(how, *row) for row in zip(texts, seeds, sources, strict=True)]


def _noising(recipe: Recipe) -> str | None:
    """Return the class that adds noise to a source image, which rounds in its own way."""
    return None if recipe.strength is None else scheduler_config(recipe.scheduler).class_name


class _Facts(NamedTuple):
    """The facts of a recipe that counting and ordering use."""

    evaluations: int
    """UNet evaluations per image: one per step for most schedulers."""
    width: int
    """UNet rows per image and evaluation: 2 with guidance, otherwise 1."""
    start: Hashable | None
    """See :func:`start_key`."""
    end: Hashable | None
    """See :func:`end_key`."""


class FactsByRecipe:
    """Facts by recipe object, since a plan of 100,000 cells asks for each of them many times."""

    def __init__(self) -> None:
        self._known: dict[int, _Facts] = {}

    def __call__(self, recipe: Recipe) -> _Facts:
        """Return a recipe's facts; equal recipes are one object, and outlive the plan."""
        found = self._known.get(id(recipe))
        if found is None:
            start, end = start_key(recipe), end_key(recipe)
            found = _Facts(_evaluations(recipe), _width(recipe), start, end)
            self._known[id(recipe)] = found
        return found


def _evaluations(recipe: Recipe) -> int:
    return evaluations(scheduler_config(recipe.scheduler), recipe.steps_run)


def _width(recipe: Recipe) -> int:
    return 2 if recipe.is_guided else 1


def _unet_rows(group: Group, facts: FactsByRecipe) -> int:
    """Count the UNet rows of a group; a start that several jobs share is evaluated once."""
    rows, starts = 0, set[Hashable]()
    for job in group.jobs:
        steps, width, start, _ = facts(job.batch.recipe)
        rows += (steps - (start is not None and start in starts)) * width
        starts.add(start)
    return rows * len(group.layout.seeds)


def _unet_rows_batched(group: Group, facts: FactsByRecipe) -> int:
    """Count the UNet rows of a group in common passes: equal rows of the first one count once."""
    rows, first = 0, set[Hashable]()
    for job in group.jobs:
        steps, width, _, _ = facts(job.batch.recipe)
        names = first_rows(job.batch)
        first.update(names or ())
        rows += (steps - (names is not None)) * width * len(group.layout.seeds)
    return rows + len(first)


def _vae_rows(group: Group, facts: FactsByRecipe, is_shared: bool) -> int:
    """Count the decoded images of a group; equal latents are decoded once if ``is_shared``."""
    ends = [facts(job.batch.recipe).end for job in group.jobs]
    known = [key for key in ends if key is not None and is_shared]
    return len(group.layout.seeds) * (len(ends) - len(known) + len(set(known)))


def _text_rows(groups: Sequence[Group]) -> int:
    """Count the rows of distinct encodings: by weights, LoRA set, prompts and negative prompt."""
    rows: dict[Hashable, int] = {}
    for group in groups:
        # All recipes of a group have the same weights and adapters.
        recipe, prompts = group.jobs[0].batch.recipe, group.layout.prompts
        base = (recipe.model, recipe.dtype, recipe.lora, prompts)
        for negative in {None, *(job.batch.recipe.negative_prompt for job in group.jobs)}:
            rows[(*base, negative)] = len(prompts)
    return sum(rows.values())


def _source_rows(groups: Sequence[Group]) -> int:
    """Count the distinct encodings of source images: by weights, LoRA set and source."""
    found: set[Hashable] = set()
    for group in groups:
        recipe = group.jobs[0].batch.recipe
        base = (recipe.model, recipe.dtype, recipe.variant, recipe.lora)
        found |= {(*base, source) for source in group.layout.sources}
    return len(found)
