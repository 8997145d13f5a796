"""Which batches a sweep has to run, in which order, and what they share.

Owns deduplication, subtraction of what the store holds, order and the count of
work. Pure: cells and the store's keys come in, a ``Plan`` goes out; no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_lab.schedule import FirstEvaluation, first_evaluation
from turbo_lab.spec import Batch, Cell, Layout, Recipe


@dataclass(frozen=True)
class PlannedCell:
    """One distinct cell of a sweep."""

    cell: Cell
    """The first request that led to it."""
    aliases: tuple[tuple[tuple[str, Any], ...], ...]
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

    They have one text encoding and one noise; whichever start at the same point
    have one first UNet evaluation.
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
    def counts(self) -> dict[str, int]:
        """The ``counts`` of the plan document."""
        in_store = sum(cell.in_store for cell in self.cells)
        return {
            "requested": self.requested,
            "distinct": len(self.cells),
            "in_store": in_store,
            "to_run": len(self.cells) - in_store,
        }


def make_plan(
    cells: Sequence[Cell], is_done: Callable[[Batch], bool], share: str = "exact"
) -> Plan:
    """Plan a sweep.

    ``is_done`` tells whether the store holds a batch under the reuse key that
    applies here. ``share`` is ``exact`` or ``none``.
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
    return Plan(
        requested=len(cells),
        cells=tuple(planned),
        groups=groups,
        unet_rows=WorkCount(
            sum(_unet_rows_alone(c.recipe) * c.num_images for c in cells),
            sum(_unet_rows(group) for group in groups),
        ),
        vae_rows=WorkCount(
            sum(c.num_images for c in cells),
            sum(len(group.layout.seeds) * len(group.jobs) for group in groups),
        ),
        text_rows=WorkCount(sum(_text_rows_alone(c) for c in cells), _text_rows(groups)),
    )


def start_of(recipe: Recipe) -> FirstEvaluation | None:
    """Where a recipe's run starts, if its scheduler is known."""
    return first_evaluation(json.loads(recipe.scheduler), recipe.num_inference_steps)


def is_guided(recipe: Recipe) -> bool:
    """Whether each step needs an unconditional row beside the conditional one."""
    return recipe.guidance_scale > 1 and dict(recipe.variant).get("guidance") != "embedded"


def _group(cells: Sequence[PlannedCell], share: str) -> tuple[Group, ...]:
    jobs: dict[str, tuple[Batch, list[Cell]]] = {}
    for planned in cells:
        for batch in planned.missing:
            jobs.setdefault(batch.batch_id, (batch, []))[1].append(planned.cell)
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for batch, owners in jobs.values():
        alone = batch.batch_id if share == "none" else None
        key = (_resident_key(batch.recipe), batch.layout.digest, alone)
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
    return tuple(
        Group(
            layout=jobs[0].batch.layout,
            jobs=tuple(sorted(jobs, key=lambda job: job.batch.recipe.num_inference_steps)),
        )
        for _, jobs in ordered
    )


def _resident_key(recipe: Recipe) -> tuple[Any, Any, Any]:
    weights = (recipe.model, recipe.dtype, recipe.variant)
    return weights, recipe.lora, (recipe.width, recipe.height)


def _unet_rows_alone(recipe: Recipe) -> int:
    return recipe.num_inference_steps * (2 if is_guided(recipe) else 1)


def _unet_rows(group: Group) -> int:
    """Rows of a group: a start that several jobs share is evaluated once.

    Guided and unguided jobs keep one start each: a row of a doubled batch is
    not bitwise the row of a single one.
    """
    rows, starts = 0, set()
    for job in group.jobs:
        recipe = job.batch.recipe
        width = 2 if is_guided(recipe) else 1
        start = start_of(recipe)
        key = (start, width, recipe.negative_prompt if width == 2 else None)
        shared = start is not None and key in starts
        starts.add(key)
        rows += (recipe.num_inference_steps - shared) * width
    return rows * len(group.layout.seeds)


def _text_rows_alone(cell: Cell) -> int:
    return cell.num_images * (2 if cell.negative_prompt is not None else 1)


def _text_rows(groups: Sequence[Group]) -> int:
    """Rows of distinct encodings: by weights, LoRA set, prompts and negative prompt."""
    seen: dict[tuple[Any, ...], int] = {}
    for group in groups:
        for job in group.jobs:
            recipe, prompts = job.batch.recipe, group.layout.prompts
            base = (recipe.model, recipe.dtype, recipe.lora, prompts)
            seen[base] = len(prompts)
            if recipe.negative_prompt is not None:
                seen[(*base, recipe.negative_prompt)] = len(prompts)
    return sum(seen.values())


def plan_document(plan: Plan, forecast: Mapping[str, Any]) -> dict[str, Any]:
    """The ``plan`` JSON document, without its header."""
    return {
        "counts": plan.counts,
        "work": {
            name: {"alone": count.alone, "planned": count.planned}
            for name, count in (
                ("unet_rows", plan.unet_rows),
                ("vae_rows", plan.vae_rows),
                ("text_rows", plan.text_rows),
            )
        },
        "forecast": dict(forecast),
        "cells": [
            {
                "cell_id": planned.cell.cell_id,
                "axes": dict(planned.cell.axes),
                "aliases": [dict(axes) for axes in planned.aliases],
                "status": "in_store" if planned.in_store else "to_run",
            }
            for planned in plan.cells
        ],
    }
