"""Plans: what is the same cell, what is shared, what is left to do."""

from __future__ import annotations

import dataclasses
import itertools

from turbo_lab.documents.plan import PlanCounts
from turbo_lab.identity import canonical_json
from turbo_lab.planning.plan import MAX_JOBS_TOGETHER, make_plan
from turbo_lab.request.recipe import Batch, Cell, Recipe, image_order, split_layouts
from turbo_lab.request.request import Request

TURBO = canonical_json(
    {
        "_class_name": "EulerAncestralDiscreteScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "timestep_spacing": "trailing",
    }
)
UNKNOWN = canonical_json({"_class_name": "HeunDiscreteScheduler"})
PROMPTS = ("a", "b", "c", "d")


def make_cell(
    steps: int = 1,
    guidance: float = 0.0,
    *,
    scheduler: str = TURBO,
    model: str = "m",
    lora: tuple[tuple[str, float], ...] = (),
    width: int = 64,
    num_images: int = 4,
    batch_size: int = 4,
) -> Cell:
    request = Request(
        model, None, "set", steps, guidance, width, 64, batch_size, (), 0, "increment", None,
        None, "float32", None, "none", "none", num_images,
    )  # fmt: skip
    canonical = guidance if guidance > 1 else 0.0
    recipe = Recipe(model, scheduler, lora, steps, canonical, None, width, 64, "float32", ())
    layouts = split_layouts(*image_order(PROMPTS, num_images, 0, "increment"), batch_size)
    axes = (("num_inference_steps", steps), ("guidance_scale", guidance))
    return Cell(request, recipe, tuple(Batch(recipe, one) for one in layouts), None, axes)


def nothing(batch: Batch) -> bool:
    return False


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


def test_share_none_runs_each_batch_in_a_group_of_its_own() -> None:
    cells = [make_cell(s) for s in (1, 2, 3)]
    plan = make_plan(cells, nothing, "none")
    assert len(plan.groups) == 3
    assert plan.unet_rows.planned == plan.unet_rows.alone


def test_stored_batches_are_subtracted() -> None:
    short, long = make_cell(num_images=4), make_cell(num_images=8)
    stored = {batch.batch_id for batch in short.batches}
    plan = make_plan([long], lambda batch: batch.batch_id in stored)
    assert [len(group.jobs) for group in plan.groups] == [1]
    assert plan.groups[0].layout.seeds == (4, 5, 6, 7)
    done = make_plan([short], lambda batch: batch.batch_id in stored)
    assert done.counts.in_store == 1 and done.groups == ()


def test_cells_of_different_length_share_their_common_batches() -> None:
    plan = make_plan([make_cell(num_images=4), make_cell(num_images=8)], nothing)
    assert [len(job.cells) for group in plan.groups for job in group.jobs] == [2, 1]


def test_what_is_expensive_to_swap_varies_slowest() -> None:
    cells = [
        make_cell(model=m, lora=lora, width=w)
        for w, lora, m in itertools.product((128, 64), ((("x", 1.0),), ()), ("b", "a"))
    ]
    plan = make_plan(cells, nothing)
    order = [g.jobs[0].batch.recipe for g in plan.groups]
    assert [r.model for r in order] == ["b"] * 4 + ["a"] * 4
    assert [len(r.lora) for r in order[:4]] == [1, 1, 0, 0]
    assert [r.width for r in order[:2]] == [128, 64]


def test_a_cell_names_its_aliases() -> None:
    (cell,) = make_plan([make_cell(1, 0.0), make_cell(1, 1.0)], nothing).cells
    assert dict(cell.cell.axes) == {"num_inference_steps": 1, "guidance_scale": 0.0}
    aliases = [dict(axes) for axes in cell.aliases]
    assert aliases == [{"num_inference_steps": 1, "guidance_scale": 1.0}]
    assert not cell.in_store


def test_batched_grid_needs_44_rows_an_image() -> None:
    grid = itertools.product((1, 2, 3, 4), (0.0, 0.5, 1.0, 1.5, 2.0, 3.0))
    plan = make_plan([make_cell(s, g) for s, g in grid], nothing, "batched")
    assert (plan.unet_rows.alone, plan.unet_rows.planned) == (4 * 90, 4 * 44)
    assert plan.vae_rows.planned == 4 * 16


def test_batched_groups_are_bounded() -> None:
    cells = [make_cell(2, 1.5 + step / 8) for step in range(MAX_JOBS_TOGETHER + 1)]
    assert [len(g.jobs) for g in make_plan(cells, nothing, "batched").groups] == [32, 1]
    assert [len(g.jobs) for g in make_plan(cells, nothing).groups] == [33]


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
