"""Which batches a sweep has to run, in which order, and in which groups.

Owns deduplication, subtraction of what the store has, and the order of work. Pure, and without
torch: cells and a question to the store come in, a ``Plan`` goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from turbo_lab.documents.plan import PlanCounts
from turbo_lab.planning.work import (
    FactsByRecipe,
    Group,
    Job,
    planned_rows,
    text_rows_per_image,
    unet_rows_per_image,
)
from turbo_lab.request.recipe import AxisValues, Batch, Cell, Recipe

# Batches whose latents and conditioning are in memory at once with share=batched.
MAX_JOBS_TOGETHER = 32


@dataclass(frozen=True)
class PlannedCell:
    """One distinct cell of a sweep."""

    cell: Cell
    """The first cell with this id."""
    aliases: tuple[AxisValues, ...]
    """Axes of the other grid points that are the same cell."""
    missing: tuple[Batch, ...]
    """Batches that the store does not have."""

    @property
    def in_store(self) -> bool:
        """``True`` if the store has every batch."""
        return not self.missing


@dataclass(frozen=True)
class WorkCount:
    """Rows of one network, without sharing and as planned."""

    alone: int
    """Rows if each requested cell was run from scratch, alone."""
    planned: int
    """Rows that are left to compute."""


@dataclass(frozen=True)
class Plan:
    """The ordered work of a sweep."""

    requested: int
    """Number of points in the grid."""
    cells: tuple[PlannedCell, ...]
    """Distinct cells, in the order of the grid."""
    groups: tuple[Group, ...]
    """Work, in the order to run it."""
    unet_rows: WorkCount
    """UNet evaluations of one image."""
    vae_rows: WorkCount
    """Decoded images."""
    text_rows: WorkCount
    """Encoded prompts."""
    source_rows: WorkCount
    """Encoded source images."""

    @property
    def counts(self) -> PlanCounts:
        """Numbers of cells."""
        distinct, in_store = len(self.cells), sum(cell.in_store for cell in self.cells)
        return PlanCounts(self.requested, distinct, in_store, to_run=distinct - in_store)


def make_plan(
    cells: Sequence[Cell], is_done: Callable[[Batch], bool], share: str = "exact"
) -> Plan:
    """Plan the work of a sweep.

    ``is_done`` returns whether the store has a batch under a reuse key that applies here.
    ``share`` is ``exact``, ``batched`` or ``none``.
    """
    planned = _distinct(cells, is_done)
    groups = _group(planned, share)
    left = planned_rows(groups, share)
    unet_rows = sum(unet_rows_per_image(cell.recipe) * cell.num_images for cell in cells)
    text_rows = sum(text_rows_per_image(cell.recipe) * cell.num_images for cell in cells)
    source_rows = sum(cell.num_images for cell in cells if cell.recipe.strength is not None)
    return Plan(
        requested=len(cells),
        cells=tuple(planned),
        groups=groups,
        unet_rows=WorkCount(unet_rows, left.unet_rows),
        vae_rows=WorkCount(sum(cell.num_images for cell in cells), left.vae_rows),
        text_rows=WorkCount(text_rows, left.text_rows),
        source_rows=WorkCount(source_rows, left.source_rows),
    )


def _distinct(cells: Sequence[Cell], is_done: Callable[[Batch], bool]) -> list[PlannedCell]:
    """Merge equal cells, and find the batches of each that are missing."""
    by_id: dict[str, list[Cell]] = {}
    for cell in cells:
        by_id.setdefault(cell.cell_id, []).append(cell)
    done: dict[str, bool] = {}
    planned = []
    for first, *others in by_id.values():
        for batch in first.batches:
            if batch.batch_id not in done:
                done[batch.batch_id] = is_done(batch)
        planned.append(
            PlannedCell(
                cell=first,
                aliases=tuple(cell.axes for cell in others),
                missing=tuple(batch for batch in first.batches if not done[batch.batch_id]),
            )
        )
    return planned


_Resident = tuple[Hashable, Hashable, Hashable]
"""Weights, LoRA set and size: everything that a worker keeps between batches."""


def _group(cells: Sequence[PlannedCell], share: str) -> tuple[Group, ...]:
    jobs: dict[str, tuple[Batch, list[Cell]]] = {}
    for planned in cells:
        for batch in () if planned.cell.misfit else planned.missing:
            jobs.setdefault(batch.batch_id, (batch, []))[1].append(planned.cell)
    groups: dict[tuple[_Resident, str, str | None], list[Job]] = {}
    facts = FactsByRecipe()
    residents: dict[int, _Resident] = {}
    for batch, owners in jobs.values():
        alone = batch.batch_id if share == "none" else None
        resident = residents.get(id(batch.recipe))
        if resident is None:
            resident = residents[id(batch.recipe)] = _resident_key(batch.recipe)
        key = (resident, batch.layout.digest, alone)
        groups.setdefault(key, []).append(Job(batch, tuple(owners)))
    ordered = _by_resident([(key[0], jobs) for key, jobs in groups.items()])
    most = MAX_JOBS_TOGETHER if share == "batched" else len(jobs)
    return tuple(
        Group(jobs[0].batch.layout, in_order[first : first + most])
        for jobs in ordered
        for in_order in [_in_order(jobs, facts)]
        for first in range(0, len(in_order), most)
    )


def _by_resident(groups: Sequence[tuple[_Resident, list[Job]]]) -> list[list[Job]]:
    """Order groups so that the most expensive swap is the rarest: model, LoRA set, then size.

    Each of the three is ranked by its first appearance, so that a contact sheet fills in order.
    """
    ranks: tuple[dict[Hashable, int], ...] = ({}, {}, {})
    for resident, _ in groups:
        for rank, part in zip(ranks, resident, strict=True):
            rank.setdefault(part, len(rank))

    def rank_of(group: tuple[_Resident, list[Job]]) -> list[int]:
        return [rank[part] for rank, part in zip(ranks, group[0], strict=True)]

    return [jobs for _, jobs in sorted(groups, key=rank_of)]


def _in_order(jobs: Sequence[Job], facts: FactsByRecipe) -> tuple[Job, ...]:
    """Order jobs: fewest steps first, and equal ends in a row, as only the last one is kept."""
    ends: dict[Hashable, int] = {}
    for job in jobs:
        ends.setdefault(facts(job.batch.recipe).end, len(ends))

    def rank(job: Job) -> tuple[int, int]:
        steps, _, _, end = facts(job.batch.recipe)
        return steps, 0 if end is None else ends[end]

    return tuple(sorted(jobs, key=rank))


def _resident_key(recipe: Recipe) -> _Resident:
    weights = (recipe.model, recipe.dtype, recipe.variant)
    return weights, recipe.lora, (recipe.width, recipe.height)
