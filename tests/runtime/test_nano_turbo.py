"""The model that ships: drawn by a stock loader, alone and in a batch."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from turbo_lab.cards import locate, locate_adapter, model_card
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.request.scheduler import canonical_scheduler
from turbo_lab.runtime import lora
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.noise import image_generators
from turbo_lab.runtime.pipeline import cut_prompts, load_pipeline
from turbo_lab.runtime.sampler import Sampler, SharedWork

THINGS = ("rocket", "panda", "cactus", "sun")
PROMPTS = tuple(f"a {thing} on a blue background" for thing in THINGS)
LAYOUT = Layout(PROMPTS * 2, tuple(range(8)))


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    card = model_card("nano-turbo")
    files = locate(card)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
    pipeline = load_pipeline(files.source, scheduler, "float32", torch.device("cpu"))
    return Sampler(pipeline, torch.device("cpu"), WorkDone())


def recipe(sampler: Sampler, steps: int, width: int = 64) -> Recipe:
    config = dict(sampler.pipeline.scheduler.config)
    kept = {k: v for k, v in config.items() if not k.startswith("_")}
    name = type(sampler.pipeline.scheduler).__name__
    scheduler = json.dumps({**kept, "_class_name": name})
    return Recipe("nano-turbo", scheduler, (), steps, 0.0, None, width, 64, "float32", ())


def test_one_step_starts_at_999(sampler: Sampler) -> None:
    scheduler = sampler.pipeline.scheduler
    for steps in (1, 2, 3, 4):
        scheduler.set_timesteps(steps)
        assert float(scheduler.timesteps[0]) == 999


@pytest.mark.parametrize("steps", [1, 4])
def test_image_of_a_batch_of_8_equals_the_image_alone(sampler: Sampler, steps: int) -> None:
    same = recipe(sampler, steps)
    with image_lane(1):
        together = sampler.run(Batch(same, LAYOUT), None, SharedWork())
        differing = 0
        for row in range(8):
            one = Layout(LAYOUT.prompts[row : row + 1], LAYOUT.seeds[row : row + 1])
            alone = sampler.run(Batch(same, one), None, SharedWork())[0]
            gap = np.abs(alone.astype(int) - together[row])
            differing += int((gap.max(axis=2) > 0).sum())
            assert gap.max() <= 1
    print(f"steps {steps}: {differing} of {8 * 64 * 64} pixels differ, by one level of 255")
    assert differing <= 0.002 * 8 * 64 * 64


@pytest.mark.parametrize("width", [64, 128])
def test_shared_work_equals_the_stock_call(sampler: Sampler, width: int) -> None:
    check_shared_work(sampler, width, [0.0])


@pytest.mark.parametrize("weights", [{"flat": 0.8}, {"flat": 0.8, "ink": 0.5}])
def test_shared_work_equals_the_stock_call_with_adapters(
    sampler: Sampler, weights: dict[str, float]
) -> None:
    named = [(name, locate_adapter(name).path, weight) for name, weight in weights.items()]
    lora.put_on(sampler.pipeline, named)
    try:
        # A sampler of its own: text encodings are those of one set of adapters.
        with_adapters = Sampler(sampler.pipeline, sampler.device, WorkDone())
        check_shared_work(with_adapters, 64, [0.0, 2.0, 3.0])
    finally:
        lora.take_off(sampler.pipeline)


def check_shared_work(sampler: Sampler, width: int, guidance_scales: list[float]) -> None:
    """Every cell of a group, drawn with what the cells before it left, against the stock call."""
    group = SharedWork()
    pipeline = sampler.pipeline
    with image_lane(1):
        for steps, scale in itertools.product((1, 2), guidance_scales):
            cell = dataclasses.replace(recipe(sampler, steps, width), guidance_scale=scale)
            shared = sampler.run(Batch(cell, LAYOUT), None, group)
            stock = pipeline(
                prompt=list(LAYOUT.prompts),
                num_inference_steps=steps,
                guidance_scale=scale,
                width=width,
                height=64,
                generator=image_generators(LAYOUT.seeds),
            ).images
            assert np.array_equal(shared, np.stack([np.asarray(image) for image in stock]))


def test_prompt_longer_than_the_window_is_cut_where_the_encoder_cuts_it(sampler: Sampler) -> None:
    long = "a red apple " * 10 + "on a blue background"
    cut = cut_prompts(sampler.pipeline, [long, "a red apple", long])
    assert list(cut) == [long]
    assert cut[long].endswith("on a blue background")
    kept = long.removesuffix(cut[long])
    same = [sampler._encode((text,), None).prompt_embeds for text in (long, kept)]
    assert torch.equal(*same)
