"""Rows of several cells in one pass: fewer rows and calls, within a stated tolerance of exact."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runtime.test_sampler import (
    LAYOUT,
    SCHEDULERS,
    make_group,
    make_sampler,
    recipe,
    scheduler_json,
)
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.cards import ModelSource, locate, model_card
from turbo_lab.errors import IncompleteError, InputError
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.execute.worker import Worker
from turbo_lab.golden.run_case import resolve_case
from turbo_lab.identity import canonical_json
from turbo_lab.planning.work import WorkDone, planned_rows
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.request.scheduler import canonical_scheduler
from turbo_lab.runtime.batched import BatchedGroup
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.pipeline import load_pipeline
from turbo_lab.runtime.runners import Drawn
from turbo_lab.runtime.sampler import Sampler, SharedWork

# How far an image of share=batched may be from the exact one.
MAX_LEVELS, MAX_SHARE = 1, 0.01
GUIDANCE = (0.0, 1.5, 2.0, 3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sdxl(tmp_path_factory.mktemp("tiny"))


def grid(folder: Path, *names: str) -> list[Recipe]:
    """The issue's grid, of each scheduler: steps 1 to 4, guidance 0, 1.5, 2 and 3."""
    axes = itertools.product(names or SCHEDULERS[:1], (1, 2, 3, 4), GUIDANCE)
    return [recipe(scheduler_json(folder, name), s, g, None) for name, s, g in axes]


def together(sampler: Sampler, recipes: list[Recipe], layout: Layout = LAYOUT) -> list[np.ndarray]:
    batches = [Batch(one, layout) for one in recipes]
    group = BatchedGroup(sampler, [(batch, None) for batch in batches])
    return [group.images(batch) for batch in batches]


def assert_within_tolerance(batched: list[np.ndarray], exact: list[np.ndarray]) -> None:
    gaps = np.abs(np.stack(batched).astype(int) - np.stack(exact))
    share = float((gaps > 0).any(axis=-1).mean())
    print(f"largest difference {gaps.max()} levels of 255, {share:.2%} of pixels differ")
    assert gaps.max() <= MAX_LEVELS
    assert share <= MAX_SHARE


def test_grid_needs_44_rows_an_image_in_7_calls_and_stays_within_tolerance(folder: Path) -> None:
    exact, batched = make_sampler(folder), make_sampler(folder)
    recipes, shared = grid(folder), SharedWork()
    with image_lane(1):
        wanted = [exact.run(Batch(one, LAYOUT), None, shared) for one in recipes]
        drawn = together(batched, recipes)
    assert_within_tolerance(drawn, wanted)
    assert exact.work.unet_rows == 4 * 45
    assert batched.work.unet_rows == 4 * 44
    # Rounds of 8, 84, 56 and 28 rows, at most 32 a call.
    assert (exact.work.unet_calls, batched.work.unet_calls) == (26, 7)
    assert batched.work.vae_rows == exact.work.vae_rows == 4 * 16
    assert batched.work.text_rows == exact.work.text_rows == 4


@pytest.mark.slow
@pytest.mark.parametrize("names", [SCHEDULERS, SCHEDULERS[2:4]])
def test_several_schedulers_stay_within_tolerance_and_do_the_planned_work(
    folder: Path, names: tuple[str, ...]
) -> None:
    exact, batched = make_sampler(folder), make_sampler(folder)
    recipes, shared = grid(folder, *names), SharedWork()
    with image_lane(1):
        wanted = [exact.run(Batch(one, LAYOUT), None, shared) for one in recipes]
        assert_within_tolerance(together(batched, recipes), wanted)
    planned = planned_rows([make_group(recipes)], "batched")
    done = batched.work
    assert (planned.unet_rows, planned.vae_rows) == (done.unet_rows, done.vae_rows)


def test_unconditional_rows_of_one_seed_are_one_row(folder: Path) -> None:
    sampler = make_sampler(folder)
    layout = Layout(LAYOUT.prompts, (7, 7, 7, 8))  # seed_mode=same over three prompts
    two = recipe(scheduler_json(folder, SCHEDULERS[0]), 1, 2.0, None)
    with image_lane(1):
        drawn = together(sampler, [two], layout)
        wanted = make_sampler(folder).run(Batch(two, layout), None, SharedWork())
    assert sampler.work.unet_rows == 4 + 2
    assert_within_tolerance(drawn, [wanted])


def test_rows_named_alike_but_unequal_are_not_shared(folder: Path) -> None:
    """Names come from a table of schedulers; the tensors have the last word."""
    sampler = make_sampler(folder)
    one, other = (
        recipe(scheduler_json(folder, SCHEDULERS[0]), steps, 0.0, None) for steps in (1, 2)
    )
    group = BatchedGroup(sampler, [(Batch(one, LAYOUT), None), (Batch(other, LAYOUT), None)])
    begin, begun = sampler.begin, []

    def with_other_noise(*arguments: object) -> object:
        run = begin(*arguments)  # type: ignore[arg-type]
        begun.append(run)
        if len(begun) == 2:
            run.latents = run.latents + 1
        return run

    sampler.begin = with_other_noise  # type: ignore[assignment]
    with image_lane(1):
        group.images(Batch(one, LAYOUT))
    assert sampler.work.unet_rows == 4 + 4 * 2


def test_trained_weights_stay_within_tolerance() -> None:
    card = model_card("nano-turbo")
    files = locate(card)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
    device = torch.device("cpu")
    pipeline = load_pipeline(files.source, scheduler, "float32", device)
    exact, batched = (Sampler(pipeline, device, WorkDone()) for _ in range(2))
    layout = Layout(("a red apple on a blue background", "a green boat on white"), (1, 2))
    recipes = [
        Recipe("m", scheduler, (), steps, guidance, None, 64, 64, "float32", ())
        for steps, guidance in itertools.product((1, 2, 4), (0.0, 3.0))
    ]
    shared = SharedWork()
    with image_lane(1):
        wanted = [exact.run(Batch(one, layout), None, shared) for one in recipes]
        assert_within_tolerance(together(batched, recipes, layout), wanted)


def worker(folder: Path, **options: object) -> Worker:
    resident = ResidentPipeline(Weights({"m": ModelSource(folder)}, {}), "cpu")
    made = Worker(resident, 1, **options)  # type: ignore[arg-type]
    made.prepare(recipe(scheduler_json(folder, SCHEDULERS[0]), 1, 0.0, None))
    return made


def draw_group(made: Worker, recipes: list[Recipe]) -> list[Drawn]:
    batches = [Batch(one, LAYOUT) for one in recipes]
    made.new_group([(batch, None) for batch in batches])
    return [made.run(batch, None) for batch in batches]


def run_group(made: Worker, recipes: list[Recipe]) -> list[np.ndarray]:
    return [drawn.pixels for drawn in draw_group(made, recipes)]


def test_batch_outside_the_group_is_drawn_by_itself(folder: Path) -> None:
    made = worker(folder, share="batched")
    inside, outside = grid(folder)[:2]
    run_group(made, [inside])
    made.run(Batch(outside, LAYOUT), None)
    assert made.work.unet_rows == 4 + 8


def test_error_of_one_batch_is_not_the_others(folder: Path) -> None:
    made = worker(folder, share="batched")
    good, other = grid(folder)[:2]
    bad = recipe(canonical_json({"_class_name": "NoScheduler"}), 1, 0.0, None)
    batches = [Batch(one, LAYOUT) for one in (good, bad, other)]
    made.new_group([(batch, None) for batch in batches])
    first = made.run(batches[0], None).pixels
    with pytest.raises(InputError, match="scheduler=NoScheduler"):
        made.run(batches[1], None)
    last = made.run(batches[2], None).pixels
    exact = run_group(worker(folder), [good, other])
    assert_within_tolerance([first, last], exact)


class OutOfMemoryAbove:
    """A UNet whose device has room for so many rows."""

    def __init__(self, pipeline: object, rows: int) -> None:
        self.unet, self.rows, self.calls = pipeline.unet, rows, 0  # type: ignore[attr-defined]
        forward = self.unet.forward

        def limited(sample: torch.Tensor, *rest: object, **options: object) -> object:
            self.calls += 1
            if len(sample) > self.rows:
                raise MemoryError(f"no room for {len(sample)} rows")
            return forward(sample, *rest, **options)

        self.unet.forward = limited


@pytest.mark.parametrize("share", ["exact", "batched", "none"])
def test_out_of_memory_fails_unless_splitting_is_allowed(folder: Path, share: str) -> None:
    made = worker(folder, share=share)
    OutOfMemoryAbove(made.resident.pipeline, 2)
    with pytest.raises(IncompleteError, match="no room for 4 rows"):
        run_group(made, grid(folder)[:1])


@pytest.mark.parametrize("share", ["exact", "none"])
def test_split_batch_has_the_bits_of_its_parts_and_says_so(folder: Path, share: str) -> None:
    made = worker(folder, share=share, may_split=True)
    OutOfMemoryAbove(made.resident.pipeline, 3)
    unguided, guided = grid(folder)[:2]
    drawn = draw_group(made, [unguided, guided])
    assert all(one.split for one in drawn)
    assert drawn[1].notes == ("out of memory at 4 images: drawn as 1+1+1+1",)
    sampler = make_sampler(folder)
    with image_lane(1):
        for pixels, one, size in ((drawn[0].pixels, unguided, 2), (drawn[1].pixels, guided, 1)):
            parts = [
                sampler.run(
                    Batch(one, Layout(LAYOUT.prompts[i : i + size], LAYOUT.seeds[i : i + size])),
                    None,
                    SharedWork(),
                )
                for i in range(0, 4, size)
            ]
            assert np.array_equal(pixels, np.concatenate(parts))


def test_one_image_that_does_not_fit_fails_although_splitting_is_allowed(folder: Path) -> None:
    made = worker(folder, may_split=True)
    OutOfMemoryAbove(made.resident.pipeline, 1)
    with pytest.raises(IncompleteError, match="no room for 2 rows"):
        run_group(made, grid(folder)[1:2])


def test_common_passes_shrink_until_they_fit(folder: Path) -> None:
    made = worker(folder, share="batched", may_split=True)
    OutOfMemoryAbove(made.resident.pipeline, 9)
    recipes = grid(folder)
    drawn = draw_group(made, recipes)
    assert {one.notes for one in drawn} == {("out of memory: at most 8 rows a UNet call",)}
    assert not any(one.split for one in drawn)  # such rows promise no more than the tolerance
    assert_within_tolerance([one.pixels for one in drawn], run_group(worker(folder), recipes))


def test_goldens_refuse_it() -> None:
    with pytest.raises(
        InputError, match="golden g: share=batched lets other batches .* set share=exact"
    ):
        resolve_case("g", ["share=batched", "num_images=1"])
