"""Image to image has the bits of diffusers' own pipeline, called directly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionXLImg2ImgPipeline
from PIL import Image

from tests.runtime.test_sampler import SCHEDULERS, make_sampler, scheduler_json
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.images import pixel_sha256
from turbo_lab.planning.work import Group, Job, WorkDone, planned_rows
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.request.request import SCHEDULERS as ALL_SCHEDULERS
from turbo_lab.runtime.batched import BatchedGroup
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.noise import image_generators
from turbo_lab.runtime.pipeline import make_scheduler
from turbo_lab.runtime.proof import prove
from turbo_lab.runtime.sampler import Sampler, SharedWork
from turbo_lab.runtime.seams import Seams
from turbo_lab.runtime.stock import StockSampler

SIZE = (64, 128)
PICTURES = [
    np.random.default_rng(seed).integers(0, 256, (128, 64, 3), dtype=np.uint8) for seed in (1, 2)
]
BY_DIGEST = {pixel_sha256(one): one for one in PICTURES}
FIRST, SECOND = BY_DIGEST
LAYOUT = Layout(("a red apple", "b", "c <&> d", ""), (1, 2, 3, 4), (FIRST, SECOND) * 2)


def read(digest: str, size: tuple[int, int]) -> np.ndarray:
    assert size == SIZE
    return BY_DIGEST[digest]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sdxl(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def sampler(folder: Path) -> Sampler:
    made = make_sampler(folder)
    return Sampler(made.pipeline, made.device, WorkDone(), sources=read)


def recipe(
    folder: Path, steps: int, strength: float, guidance: float = 0.0, name: str = SCHEDULERS[0]
) -> Recipe:
    scheduler = scheduler_json(folder, name)
    return Recipe(
        "m", scheduler, (), steps, guidance, None, *SIZE, "float32", (), strength=strength
    )


def stock(
    sampler: Sampler, batch: Batch, pictures: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """Draw a batch by ``StableDiffusionXLImg2ImgPipeline``, made as its documentation says."""
    one = batch.recipe
    pipeline = StableDiffusionXLImg2ImgPipeline(**sampler.pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = make_scheduler(one.scheduler)
    rows = pictures or [BY_DIGEST[digest] for digest in batch.layout.sources]
    drawn = pipeline(
        prompt=list(batch.layout.prompts),
        image=[Image.fromarray(row) for row in rows],
        strength=one.strength,
        num_inference_steps=one.num_inference_steps,
        guidance_scale=one.guidance_scale,
        generator=image_generators(batch.layout.seeds),
    ).images
    return np.stack([np.asarray(picture) for picture in drawn])


@pytest.mark.parametrize("name", ALL_SCHEDULERS)
def test_every_scheduler_gives_the_bits_of_the_stock_call(
    sampler: Sampler, folder: Path, name: str
) -> None:
    with image_lane(1):
        for steps, strength in ((4, 0.5), (2, 1.0)):
            batch = Batch(recipe(folder, steps, strength, 2.0, name), LAYOUT)
            drawn = sampler.run(batch, None, SharedWork())
            assert np.array_equal(drawn, stock(sampler, batch)), (steps, strength)


def test_one_image_is_the_stock_call_with_one_image_and_one_generator(
    sampler: Sampler, folder: Path
) -> None:
    batch = Batch(recipe(folder, 4, 0.5), LAYOUT.part(slice(1, 2)))
    pipeline = StableDiffusionXLImg2ImgPipeline(**sampler.pipeline.components)
    pipeline.scheduler = make_scheduler(batch.recipe.scheduler)
    with image_lane(1):
        drawn = sampler.run(batch, None, SharedWork())
        (expected,) = pipeline(
            prompt="b",
            image=Image.fromarray(BY_DIGEST[SECOND]),
            strength=0.5,
            num_inference_steps=4,
            guidance_scale=0.0,
            generator=torch.Generator().manual_seed(2),
        ).images
    assert np.array_equal(drawn[0], np.asarray(expected))


@pytest.mark.parametrize("kind", [Sampler, StockSampler])
def test_a_trial_may_replace_the_encoding_of_a_source(
    sampler: Sampler, folder: Path, kind: type[Sampler] | type[StockSampler]
) -> None:
    batch = Batch(recipe(folder, 4, 0.5), LAYOUT)
    mirrored = Seams(encode_source=lambda run, image: run(image.flip(-1)))
    drawing = kind(sampler.pipeline, sampler.device, WorkDone(), mirrored, sources=read)
    with image_lane(1):
        drawn = drawing.run(batch, None, SharedWork())
        rows = [BY_DIGEST[digest][:, ::-1].copy() for digest in LAYOUT.sources]
        assert np.array_equal(drawn, stock(sampler, batch, rows))


@pytest.mark.parametrize("share", ["exact", "none"])
def test_plan_counts_the_work_that_is_done(sampler: Sampler, folder: Path, share: str) -> None:
    recipes = [
        recipe(folder, steps, strength, guidance, name)
        for name in SCHEDULERS
        for guidance in (0.0, 2.0)
        # 2 x 0.5 and 4 x 0.5 begin at one timestep where the timesteps are trailing.
        for steps, strength in ((2, 0.5), (4, 0.5), (4, 0.25), (3, 1.0))
    ]
    jobs = tuple(Job(Batch(one, LAYOUT), ()) for one in recipes)
    groups = [Group(LAYOUT, jobs)] if share == "exact" else [Group(LAYOUT, (job,)) for job in jobs]
    with image_lane(1):
        for group in groups:
            work = SharedWork()
            if share == "none":
                sampler = Sampler(sampler.pipeline, sampler.device, sampler.work, sources=read)
            for job in group.jobs:
                drawn = sampler.run(job.batch, None, work)
                assert np.array_equal(drawn, stock(sampler, job.batch))
    planned, done = planned_rows(groups, share), sampler.work
    assert (planned.unet_rows, planned.vae_rows) == (done.unet_rows, done.vae_rows)
    assert planned.source_rows == done.source_rows == 2 * len(groups)


def test_encoding_that_is_taken_over_keeps_every_bit(sampler: Sampler, folder: Path) -> None:
    first, second = Batch(recipe(folder, 4, 0.5), LAYOUT), Batch(recipe(folder, 4, 0.75), LAYOUT)
    with image_lane(1):
        sampler.run(first, None, SharedWork())
        assert np.array_equal(sampler.run(second, None, SharedWork()), stock(sampler, second))
        assert sampler.work.source_rows == 2
        assert np.array_equal(sampler.run_alone(second, None), stock(sampler, second))
    assert sampler.work.source_rows == 4


def test_common_passes_give_nearly_the_same_images(sampler: Sampler, folder: Path) -> None:
    layout = Layout(("a", "a", "b"), (7, 7, 7), (FIRST, SECOND, FIRST))
    work = [
        (Batch(recipe(folder, steps, 0.5, guidance), layout), None)
        for steps, guidance in ((2, 0.0), (4, 0.0), (4, 2.0))
    ]
    group = BatchedGroup(sampler, work)
    with image_lane(1):
        for batch, _ in work:
            apart = np.abs(group.images(batch).astype(int) - stock(sampler, batch))
            assert apart.max() <= 1
    jobs = tuple(Job(batch, ()) for batch, _ in work)
    assert planned_rows([Group(layout, jobs)], "batched").unet_rows == sampler.work.unet_rows


def test_stages_begin_with_the_noise_and_the_latents_of_the_source(
    sampler: Sampler, folder: Path
) -> None:
    batch = Batch(recipe(folder, 4, 0.5, 2.0), LAYOUT)
    seen: dict[str, dict[str, torch.Tensor]] = {"own": {}, "stock": {}}
    fallback = StockSampler(sampler.pipeline, sampler.device, WorkDone(), sources=read)
    with image_lane(1):
        for name, drawer in (("own", sampler), ("stock", fallback)):
            drawer.run(
                batch, None, SharedWork(), lambda stage, t, n=name: seen[n].setdefault(stage, t)
            )
    assert list(seen["own"])[:4] == ["noise", "encode", "prompt_embeds", "pooled_prompt_embeds"]
    assert list(seen["own"]) == list(seen["stock"])
    assert list(seen["own"])[-2:] == ["latents.1", "vae"]
    rows = len(LAYOUT.seeds)  # the stock call shows the positive half of the embeddings
    assert all(
        torch.equal(own[-rows:] if "embeds" in stage else own, seen["stock"][stage])
        for stage, own in seen["own"].items()
    )
    assert fallback.work.source_rows == 4 and fallback.work.unet_calls == 2


def test_exact_loop_is_proved_on_source_images_too(sampler: Sampler, folder: Path) -> None:
    stages = ExactStages(sampler.pipeline, sampler.device)
    batch = Batch(recipe(folder, 4, 0.5, 2.0), LAYOUT)
    exact = Sampler(sampler.pipeline, sampler.device, WorkDone(), stages=stages, sources=read)
    with image_lane(1):
        prove(stages, batch, None, read)
        assert not stages.given_back
        assert np.array_equal(exact.run_alone(batch, None), stock(sampler, batch))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_vae_that_is_upcast_keeps_the_bits_and_its_type(
    folder: Path, sampler: Sampler, dtype: torch.dtype
) -> None:
    sampler.pipeline.to(dtype=dtype, silence_dtype_warnings=True)
    assert sampler.pipeline.vae.config.force_upcast
    batch = Batch(recipe(folder, 2, 0.5), LAYOUT)
    stages = ExactStages(sampler.pipeline, sampler.device)
    exact = Sampler(sampler.pipeline, sampler.device, WorkDone(), stages=stages, sources=read)
    with image_lane(1):
        prove(stages, batch, None, read)
        assert not stages.given_back
        by_loop = exact.run_alone(batch, None)
        with stages.as_loaded():
            expected = stock(sampler, batch)
            assert np.array_equal(sampler.run(batch, None, SharedWork()), expected)
            assert sampler.pipeline.vae.dtype == dtype
    assert np.array_equal(by_loop, expected)


def test_vae_that_draws_no_sample_leaves_the_generators_to_the_noise(
    sampler: Sampler, folder: Path
) -> None:
    torch.manual_seed(0)
    sampler.pipeline.register_modules(
        vae=AutoencoderTiny(
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
        ).eval()
    )
    scale = 2 ** (len(sampler.pipeline.vae.config.encoder_block_out_channels) - 1)
    sampler.pipeline.vae_scale_factor = scale
    batch = Batch(recipe(folder, 4, 0.5), LAYOUT)
    with image_lane(1):
        assert np.array_equal(sampler.run(batch, None, SharedWork()), stock(sampler, batch))
