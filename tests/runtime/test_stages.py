"""The stages as the stock pipeline runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.runtime.tiny import CPU, tiny_batch, tiny_pipeline
from turbo_lab.runtime.noise import image_generators, initial_noise
from turbo_lab.runtime.pipeline import make_scheduler
from turbo_lab.runtime.stages import Conditioning, StockStages, decoding_dtype, needs_upcast


def test_time_ids_are_original_size_corner_and_target_size(
    pipeline: StableDiffusionXLPipeline,
) -> None:
    found = StockStages(pipeline, CPU).time_ids((64, 128), torch.float32)
    assert found.tolist() == [[64, 128, 0, 0, 64, 128]] and found.dtype == torch.float32


def test_a_scheduler_has_its_timesteps_set(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    recipe = tiny_batch(tiny_sdxl_dir, steps=4).recipe
    found = StockStages(pipeline, CPU).scheduler(recipe, make_scheduler)
    assert found.timesteps.tolist() == [999, 749, 499, 249]


def test_noise_is_that_of_the_generators(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    stages, recipe = StockStages(pipeline, CPU), tiny_batch(tiny_sdxl_dir).recipe
    found = stages.noise(recipe, image_generators([1, 2]), (4, 8, 8), torch.float32)
    wanted = initial_noise(image_generators([1, 2]), (4, 8, 8), torch.float32, CPU)
    assert torch.equal(found.initial, wanted)
    for _ in range(2):  # a step's context may be entered again
        with found.during_step:
            pass


def test_the_unet_is_given_text_size_and_time(pipeline: StableDiffusionXLPipeline) -> None:
    stages = StockStages(pipeline, CPU)
    embeds, _, pooled, _ = stages.encode_prompt(
        prompt="a", device=CPU, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    given = Conditioning(embeds, pooled, stages.time_ids((64, 64), torch.float32), None)
    latents = torch.randn((1, 4, 8, 8), generator=torch.manual_seed(0))
    with torch.no_grad():
        found = stages.unet(latents, torch.tensor(999), given)
        oracle = pipeline.unet(
            latents,
            999,
            encoder_hidden_states=embeds,
            added_cond_kwargs={"text_embeds": pooled, "time_ids": given.time_ids},
        ).sample
        other = stages.unet(latents, torch.tensor(1), given)
    assert torch.equal(found, oracle) and not torch.equal(found, other)


def test_a_vae_of_float16_decodes_in_float32_and_goes_back(tiny_sdxl_dir: Path) -> None:
    loaded = tiny_pipeline(tiny_sdxl_dir, "float16")
    vae, latents = loaded.vae, torch.randn((1, 4, 8, 8)).half()
    assert needs_upcast(vae) and decoding_dtype(vae, latents) == torch.float16
    seen: list[torch.dtype] = []

    def around(run, scaled: torch.Tensor) -> torch.Tensor:
        seen.extend((vae.dtype, scaled.dtype))
        return run(scaled)

    with torch.no_grad():
        found = StockStages(loaded, CPU).decode(latents, around)
    assert seen == [torch.float32, torch.float32]
    assert vae.dtype == torch.float16 and found.dtype == torch.float32
    assert found.shape == (1, 3, 64, 64)
    with pytest.raises(RuntimeError, match="inside"), torch.no_grad():
        StockStages(loaded, CPU).decode(latents, lambda run, scaled: raise_inside())
    assert vae.dtype == torch.float16
    vae.register_to_config(force_upcast=False)
    assert not needs_upcast(vae)


def raise_inside() -> torch.Tensor:
    raise RuntimeError("inside")


def test_latents_are_scaled_back_before_they_are_decoded(
    pipeline: StableDiffusionXLPipeline,
) -> None:
    assert not needs_upcast(pipeline.vae)
    latents = torch.full((1, 4, 2, 2), 0.13025)
    found = StockStages(pipeline, CPU).decode(latents, lambda run, scaled: scaled)
    assert torch.allclose(found, torch.ones(1, 4, 2, 2))
