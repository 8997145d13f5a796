"""The rows that a plan computes: shared starts, ends and encodings count once."""

from __future__ import annotations

import dataclasses
import itertools

from tests.planning.cells import TURBO, UNKNOWN, make_cell, nothing
from turbo_lab.documents.plan import PlanCounts
from turbo_lab.planning.plan import make_plan
from turbo_lab.request.recipe import Batch


def test_grid_of_issue_needs_45_rows_an_image_instead_of_90() -> None:
    grid = itertools.product((1, 2, 3, 4), (0.0, 0.5, 1.0, 1.5, 2.0, 3.0))
    plan = make_plan([make_cell(s, g) for s, g in grid], nothing)
    assert plan.counts == PlanCounts(requested=24, distinct=16, in_store=0, to_run=16)
    assert (plan.unet_rows.alone, plan.unet_rows.planned) == (4 * 90, 4 * 45)
    assert (plan.vae_rows.alone, plan.vae_rows.planned) == (4 * 24, 4 * 16)
    assert (plan.text_rows.alone, plan.text_rows.planned) == (4 * 24, 4)
    assert len(plan.groups) == 1


def test_unknown_scheduler_shares_no_start() -> None:
    cells = [make_cell(s, scheduler=UNKNOWN) for s in (1, 2)]
    assert make_plan(cells, nothing).unet_rows.planned == 4 * (1 + 3)  # Heun: two a step but one


def test_batched_grid_needs_44_rows_an_image() -> None:
    grid = itertools.product((1, 2, 3, 4), (0.0, 0.5, 1.0, 1.5, 2.0, 3.0))
    plan = make_plan([make_cell(s, g) for s, g in grid], nothing, "batched")
    assert (plan.unet_rows.alone, plan.unet_rows.planned) == (4 * 90, 4 * 44)
    assert plan.vae_rows.planned == 4 * 16


EULER = TURBO.replace("EulerAncestral", "Euler")


def test_one_step_of_euler_and_of_its_ancestral_form_are_decoded_once() -> None:
    cells = [
        make_cell(steps, guidance, scheduler=scheduler)
        for scheduler in (TURBO, EULER)
        for guidance in (0.0, 2.0)
        for steps in (1, 2)
    ]
    plan = make_plan(cells, nothing)
    assert (plan.vae_rows.alone, plan.vae_rows.planned) == (4 * 8, 4 * 6)
    # Equal ends come one after the other: only the last decoding is kept.
    order = [(j.batch.recipe.guidance_scale, j.batch.recipe.scheduler) for j in plan.groups[0].jobs]
    assert order[:4] == [(0.0, TURBO), (0.0, EULER), (2.0, TURBO), (2.0, EULER)]
    assert make_plan(cells, nothing, "batched").vae_rows.planned == 4 * 8
    assert make_plan(cells, nothing, "none").vae_rows.planned == 4 * 8


def test_guidance_as_an_embedding_is_no_second_row_and_shares_no_start() -> None:
    cells = [make_cell(s, g) for s in (1, 2) for g in (2.0, 3.0)]
    embedded = [
        dataclasses.replace(
            cell, recipe=recipe, batches=tuple(Batch(recipe, b.layout) for b in cell.batches)
        )
        for cell in cells
        for recipe in [dataclasses.replace(cell.recipe, variant=(("guidance", "embedded"),))]
    ]
    plan = make_plan(embedded, nothing)
    assert plan.unet_rows.alone == 4 * (1 + 1 + 2 + 2)
    # A start for each guidance, shared over step counts.
    assert plan.unet_rows.planned == 4 * (1 + 1 + 1 + 1)


def test_share_none_encodes_each_batch_anew() -> None:
    cells = [make_cell(s) for s in (1, 2, 3)]
    assert make_plan(cells, nothing, "none").text_rows.planned == 4 * 3
    assert make_plan(cells, nothing).text_rows.planned == 4
