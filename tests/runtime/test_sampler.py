"""Shared work gives the bits of the stock pipeline, cell by cell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runtime.tiny import scheduler_json
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.cards import ModelSource
from turbo_lab.planning.work import Group, Job, WorkDone, planned_rows
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.request.request import MAX_SEED
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.noise import image_generators
from turbo_lab.runtime.pipeline import load_pipeline, make_scheduler
from turbo_lab.runtime.sampler import Sampler, SharedWork

LAYOUT = Layout(("a red apple", "b", "c <&> d", ""), (1, 2, 3, MAX_SEED))
SCHEDULERS = (
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "LCMScheduler",
    "DPMSolverMultistepScheduler",
    "DDIMScheduler",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sdxl(tmp_path_factory.mktemp("tiny"))


def make_sampler(folder: Path) -> Sampler:
    scheduler = scheduler_json(folder, SCHEDULERS[0])
    pipeline = load_pipeline(ModelSource(folder), scheduler, "float32", torch.device("cpu"))
    return Sampler(pipeline, torch.device("cpu"), WorkDone())


def recipe(scheduler: str, steps: int, guidance: float, negative: str | None) -> Recipe:
    digest = None if negative is None else f"digest of {negative}"
    return Recipe("m", scheduler, (), steps, guidance, digest, 64, 128, "float32", ())


def stock(sampler: Sampler, batch: Batch, negative: str | None) -> np.ndarray:
    """The batch through ``StableDiffusionXLPipeline.__call__``, alone."""
    pipeline, r = sampler.pipeline, batch.recipe
    pipeline.scheduler = make_scheduler(r.scheduler)
    rows = len(batch.layout.seeds)
    pictures = pipeline(
        prompt=list(batch.layout.prompts),
        negative_prompt=None if negative is None else [negative] * rows,
        num_inference_steps=r.num_inference_steps,
        guidance_scale=r.guidance_scale,
        width=r.width,
        height=r.height,
        generator=image_generators(batch.layout.seeds),
    ).images
    return np.stack([np.asarray(picture) for picture in pictures])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_shared_work_equals_stock_pipeline_bit_for_bit(folder: Path, name: str) -> None:
    sampler = make_sampler(folder)
    scheduler = scheduler_json(folder, name)
    group = SharedWork()
    with image_lane(1):
        for steps in (1, 2, 3):
            for guidance, negative in ((0.0, None), (1.5, None), (2.0, None), (2.0, "blurry")):
                batch = Batch(recipe(scheduler, steps, guidance, negative), LAYOUT)
                shared = sampler.run(batch, negative, group)
                assert np.array_equal(shared, stock(sampler, batch, negative)), (steps, guidance)
    # Per image: unguided 1 + (0+1+2); guided, two values without a negative
    # prompt, 2 + 2x(0+1+2)x2; with one 2 + (0+1+2)x2.
    assert sampler.work.unet_rows == 4 * (4 + 14 + 8)
    assert sampler.work.text_rows == 4 * 3


def test_start_of_other_noise_is_not_taken_over(folder: Path) -> None:
    sampler = make_sampler(folder)
    scheduler = scheduler_json(folder, SCHEDULERS[0])
    group = SharedWork()
    other = Layout(LAYOUT.prompts, (9, 10, 11, 12))
    with image_lane(1):
        sampler.run(Batch(recipe(scheduler, 1, 0.0, None), LAYOUT), None, group)
        batch = Batch(recipe(scheduler, 2, 0.0, None), other)
        assert np.array_equal(sampler.run(batch, None, group), stock(sampler, batch, None))


def test_image_does_not_depend_on_its_batch_beyond_one_level(folder: Path) -> None:
    sampler = make_sampler(folder)
    same = recipe(scheduler_json(folder, SCHEDULERS[0]), 2, 0.0, None)
    with image_lane(1):
        together = sampler.run(Batch(same, LAYOUT), None, SharedWork())
        for row in range(4):
            layout = Layout(LAYOUT.prompts[row : row + 1], LAYOUT.seeds[row : row + 1])
            alone = sampler.run(Batch(same, layout), None, SharedWork())[0]
            assert np.abs(alone.astype(int) - together[row]).max() <= 1


def test_image_lane_restores_every_flag() -> None:
    before = (torch.get_num_threads(), torch.backends.cudnn.allow_tf32)
    with pytest.raises(RuntimeError, match="inside"), image_lane(1):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
        raise RuntimeError("inside")
    assert not torch.are_deterministic_algorithms_enabled()
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before


def make_group(recipes: list[Recipe]) -> Group:
    return Group(LAYOUT, tuple(Job(Batch(one, LAYOUT), ()) for one in recipes))


@pytest.mark.parametrize("names", [SCHEDULERS[:1], SCHEDULERS[:3], SCHEDULERS])
def test_group_of_several_schedulers_does_the_planned_work_and_keeps_every_bit(
    folder: Path, names: tuple[str, ...]
) -> None:
    sampler = make_sampler(folder)
    recipes = [
        recipe(scheduler_json(folder, name), steps, guidance, None)
        for steps in (1, 2)
        for guidance in (0.0, 1.5, 2.0)
        for name in names  # innermost, as a plan has them
    ]
    group = SharedWork()
    with image_lane(1):
        for one in recipes:
            batch = Batch(one, LAYOUT)
            assert np.array_equal(sampler.run(batch, None, group), stock(sampler, batch, None)), (
                json.loads(one.scheduler)["_class_name"]
            )
    planned = planned_rows([make_group(recipes)], "exact")
    assert (planned.unet_rows, planned.vae_rows) == (sampler.work.unet_rows, sampler.work.vae_rows)
    # One step of Euler and of Euler ancestral end in the same latents, at each guidance.
    decoded_alone = 4 * len(recipes)
    assert sampler.work.vae_rows == decoded_alone - (4 * 3 if len(names) > 1 else 0)
