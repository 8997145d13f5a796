"""Which batches a sweep has to run, in which order, and what they share.

Owns deduplication, subtraction of what the store holds, order and the count of
work. Pure: cells and the store's keys come in, a ``Plan`` goes out; no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from turbo_lab.documents.plan import PlanCounts
from turbo_lab.planning.scheduler_table import FirstStep, evaluations, first_evaluation
from turbo_lab.request.recipe import AxisValues, Batch, Cell, Layout, Recipe

# Batches whose latents and conditioning are in memory at once with share=batched.
MAX_JOBS_TOGETHER = 32
# Their only step from a known start is the same sum.
_ONE_STEP_ALIKE = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")


@dataclass(frozen=True)
class PlannedCell:
    """One distinct cell of a sweep."""

    cell: Cell
    """The first request that led to it."""
    aliases: tuple[AxisValues, ...]
    """Axes of further requests that are the same work."""
    missing: tuple[Batch, ...]
    """Batches that the store does not hold."""

    @property
    def in_store(self) -> bool:
        """Nothing is left to run."""
        return not self.missing


@dataclass(frozen=True)
class Job:
    """One batch to run, with the cells that it belongs to."""

    batch: Batch
    """What to run."""
    cells: tuple[Cell, ...]
    """At least one; more where cells of different lengths begin alike."""


@dataclass(frozen=True)
class Group:
    """Batches that share weights, rows and size, and with them most of the work.

    They have one text encoding; whichever start at the same point have one first
    UNet evaluation. Noise is drawn for each: it is cheap, and its generator goes on.
    """

    layout: Layout
    """The rows that all of them have."""
    jobs: tuple[Job, ...]
    """In the order to run: fewest steps first."""


@dataclass(frozen=True)
class WorkCount:
    """Rows of a network: with each requested cell alone, and as planned."""

    alone: int
    """Were each requested cell run from nothing."""
    planned: int
    """What is left to do."""


@dataclass
class WorkDone:
    """Rows evaluated so far, for the sweep's account."""

    unet_rows: int = 0
    """One a row of a UNet call."""
    unet_calls: int = 0
    """Forward passes of the UNet."""
    vae_rows: int = 0
    """One a decoded image."""
    text_rows: int = 0
    """One an encoded prompt."""


@dataclass(frozen=True)
class Plan:
    """The ordered work of a sweep."""

    requested: int
    """Points of the grid as written."""
    cells: tuple[PlannedCell, ...]
    """Distinct cells in the order of the request."""
    groups: tuple[Group, ...]
    """Work in the order to run it."""
    unet_rows: WorkCount
    """UNet evaluations of one image."""
    vae_rows: WorkCount
    """Decoded images."""
    text_rows: WorkCount
    """Encoded prompts."""

    @property
    def counts(self) -> PlanCounts:
        """Numbers of cells."""
        distinct, in_store = len(self.cells), sum(cell.in_store for cell in self.cells)
        return PlanCounts(self.requested, distinct, in_store, to_run=distinct - in_store)


def make_plan(
    cells: Sequence[Cell], is_done: Callable[[Batch], bool], share: str = "exact"
) -> Plan:
    """Plan a sweep.

    ``is_done`` tells whether the store holds a batch under the reuse key that
    applies here. ``share`` is ``exact``, ``batched`` or ``none``.
    """
    distinct: dict[str, list[Cell]] = {}
    for cell in cells:
        distinct.setdefault(cell.cell_id, []).append(cell)
    done: dict[str, bool] = {}
    planned = []
    for same in distinct.values():
        first = same[0]
        for batch in first.batches:
            if batch.batch_id not in done:
                done[batch.batch_id] = is_done(batch)
        planned.append(
            PlannedCell(
                cell=first,
                aliases=tuple(cell.axes for cell in same[1:]),
                missing=tuple(b for b in first.batches if not done[b.batch_id]),
            )
        )
    groups = _group(planned, share)
    left = planned_rows(groups, share)
    return Plan(
        requested=len(cells),
        cells=tuple(planned),
        groups=groups,
        unet_rows=WorkCount(
            sum(_unet_rows_alone(c.recipe) * c.num_images for c in cells), left.unet_rows
        ),
        vae_rows=WorkCount(sum(c.num_images for c in cells), left.vae_rows),
        text_rows=WorkCount(sum(_text_rows_alone(c) for c in cells), left.text_rows),
    )


def planned_rows(groups: Sequence[Group], share: str) -> WorkDone:
    """The rows that running ``groups`` evaluates; calls are not planned."""
    facts = _FactsOf()
    batched, alone = share == "batched", share == "none"
    unet_rows = _unet_rows_batched if batched else _unet_rows
    return WorkDone(
        unet_rows=sum(unet_rows(group, facts) for group in groups),
        vae_rows=sum(_vae_rows(group, facts, shared=not batched) for group in groups),
        text_rows=sum(_text_rows([g]) for g in groups) if alone else _text_rows(groups),
    )


def start_of(recipe: Recipe) -> FirstStep | None:
    """Where a recipe's run starts, if its scheduler is known."""
    return _start(recipe.scheduler, recipe.num_inference_steps)


@lru_cache(maxsize=4096)
def _start(scheduler: str, num_inference_steps: int) -> FirstStep | None:
    return first_evaluation(json.loads(scheduler), num_inference_steps)


def start_key(recipe: Recipe) -> Hashable | None:
    """Batches of a group with equal keys have one first UNet evaluation; ``None``: shares none.

    Guided and unguided ones keep a start each: a row of a doubled batch is not
    bitwise the row of a single one.
    """
    start = start_of(recipe)
    if start is None:
        return None
    guided = recipe.is_guided
    embedded = recipe.guidance_scale if recipe.embeds_guidance else None
    return ("start", start, guided, recipe.negative_prompt if guided else None, embedded)


def end_key(recipe: Recipe) -> Hashable | None:
    """Batches of a group with equal keys end in equal latents; ``None``: nothing is known.

    Euler's one step and Euler ancestral's are one sum: the ancestral noise is
    multiplied by zero.
    """
    start = start_key(recipe)
    if start is None or recipe.num_inference_steps != 1:
        return None
    config = json.loads(recipe.scheduler)
    if config["_class_name"] not in _ONE_STEP_ALIKE:
        return None
    return ("end", start, recipe.guidance_scale, config.get("prediction_type"))


def first_rows(batch: Batch) -> list[Hashable] | None:
    """Names of the rows of a batch's first UNet evaluation, unconditional ones first.

    Equal names within a group are equal inputs. ``None`` for an unknown start.
    """
    recipe, layout = batch.recipe, batch.layout
    start = start_of(recipe)
    if start is None:
        return None
    embedded = recipe.guidance_scale if recipe.embeds_guidance else None
    negative = [("negative", recipe.negative_prompt)] * (len(layout.seeds) * recipe.is_guided)
    texts = [*negative, *(("prompt", prompt) for prompt in layout.prompts)]
    seeds = layout.seeds * (2 if recipe.is_guided else 1)
    return [(start, embedded, text, seed) for text, seed in zip(texts, seeds, strict=True)]


def _group(cells: Sequence[PlannedCell], share: str) -> tuple[Group, ...]:
    jobs: dict[str, tuple[Batch, list[Cell]]] = {}
    for planned in cells:
        for batch in () if planned.cell.misfit else planned.missing:
            jobs.setdefault(batch.batch_id, (batch, []))[1].append(planned.cell)
    groups: dict[tuple[Any, ...], list[Job]] = {}
    facts = _FactsOf()
    residents: dict[int, tuple[Any, Any, Any]] = {}
    for batch, owners in jobs.values():
        alone = batch.batch_id if share == "none" else None
        resident = residents.get(id(batch.recipe))
        if resident is None:
            resident = residents[id(batch.recipe)] = _resident_key(batch.recipe)
        key = (resident, batch.layout.digest, alone)
        groups.setdefault(key, []).append(Job(batch, tuple(owners)))
    # What is expensive to swap varies slowest: model, then LoRA set, then size.
    # Each ranks by its first appearance, so that a sheet fills in its own order.
    ranks: tuple[dict[Any, int], ...] = ({}, {}, {})
    for key in groups:
        for rank, part in zip(ranks, key[0], strict=True):
            rank.setdefault(part, len(rank))
    ordered = sorted(
        groups.items(), key=lambda item: [r[p] for r, p in zip(ranks, item[0][0], strict=True)]
    )
    most = MAX_JOBS_TOGETHER if share == "batched" else len(jobs)
    return tuple(
        Group(jobs[0].batch.layout, in_order[first : first + most])
        for _, jobs in ordered
        for in_order in [_in_order(jobs, facts)]
        for first in range(0, len(in_order), most)
    )


def _in_order(jobs: Sequence[Job], facts: _FactsOf) -> tuple[Job, ...]:
    """Fewest steps first, and equal ends side by side: only the last decoding is kept."""
    ends: dict[Hashable, int] = {}
    for job in jobs:
        ends.setdefault(facts(job.batch.recipe).end, len(ends))

    def rank(job: Job) -> tuple[int, int]:
        steps, _, _, end = facts(job.batch.recipe)
        return steps, 0 if end is None else ends[end]

    return tuple(sorted(jobs, key=rank))


def _resident_key(recipe: Recipe) -> tuple[Any, Any, Any]:
    weights = (recipe.model, recipe.dtype, recipe.variant)
    return weights, recipe.lora, (recipe.width, recipe.height)


def _unet_rows_alone(recipe: Recipe) -> int:
    return _evaluations(recipe) * (2 if recipe.is_guided else 1)


def _evaluations(recipe: Recipe) -> int:
    return evaluations(json.loads(recipe.scheduler), recipe.num_inference_steps)


class _Facts(NamedTuple):
    """What counting needs of a recipe."""

    evaluations: int
    """Of the UNet, an image: one a step for most schedulers."""
    width: int
    """UNet rows an image and step: 2 where guided."""
    start: Hashable | None
    """See :func:`start_key`."""
    end: Hashable | None
    """See :func:`end_key`."""


class _FactsOf:
    """Facts by recipe object: a plan of 100,000 cells asks for each of them many times."""

    def __init__(self) -> None:
        self._known: dict[int, _Facts] = {}

    def __call__(self, recipe: Recipe) -> _Facts:
        """Recipes are interned and outlive the plan, so that an object's id is its name."""
        found = self._known.get(id(recipe))
        if found is None:
            width = 2 if recipe.is_guided else 1
            found = _Facts(_evaluations(recipe), width, start_key(recipe), end_key(recipe))
            self._known[id(recipe)] = found
        return found


def _unet_rows(group: Group, facts: _FactsOf) -> int:
    """Rows of a group: a start that several jobs share is evaluated once."""
    rows, starts = 0, set[Hashable]()
    for job in group.jobs:
        steps, width, start, _ = facts(job.batch.recipe)
        rows += (steps - (start is not None and start in starts)) * width
        starts.add(start)
    return rows * len(group.layout.seeds)


def _unet_rows_batched(group: Group, facts: _FactsOf) -> int:
    """Rows of a group in common passes: equal rows of the first evaluation are one."""
    rows, first = 0, set[Hashable]()
    for job in group.jobs:
        steps, width, _, _ = facts(job.batch.recipe)
        named = first_rows(job.batch)
        first.update(named or ())
        rows += (steps - (named is not None)) * width * len(group.layout.seeds)
    return rows + len(first)


def _vae_rows(group: Group, facts: _FactsOf, shared: bool) -> int:
    """Decoded images of a group: equal latents are decoded once, where rows keep their bits."""
    ends = [facts(job.batch.recipe).end for job in group.jobs]
    known = [key for key in ends if key is not None and shared]
    return len(group.layout.seeds) * (len(ends) - len(known) + len(set(known)))


def _text_rows_alone(cell: Cell) -> int:
    return cell.num_images * (2 if cell.negative_prompt is not None else 1)


def _text_rows(groups: Sequence[Group]) -> int:
    """Rows of distinct encodings: by weights, LoRA set, prompts and negative prompt."""
    seen: dict[tuple[Any, ...], int] = {}
    for group in groups:
        # Weights and adapters are one in a group.
        recipe, prompts = group.jobs[0].batch.recipe, group.layout.prompts
        base = (recipe.model, recipe.dtype, recipe.lora, prompts)
        for negative in {None, *(job.batch.recipe.negative_prompt for job in group.jobs)}:
            seen[(*base, negative)] = len(prompts)
    return sum(seen.values())
