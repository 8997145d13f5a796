"""Plans: which cells are the same, what is left to run, and in which order."""

from __future__ import annotations

import itertools

from tests.planning.cells import make_cell, nothing
from turbo_lab.planning.plan import MAX_JOBS_TOGETHER, make_plan


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


def test_batched_groups_are_bounded() -> None:
    cells = [make_cell(2, 1.5 + step / 8) for step in range(MAX_JOBS_TOGETHER + 1)]
    assert [len(g.jobs) for g in make_plan(cells, nothing, "batched").groups] == [32, 1]
    assert [len(g.jobs) for g in make_plan(cells, nothing).groups] == [33]
