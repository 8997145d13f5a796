"""Drawing by the stock pipeline: what needs it, its arguments, its stages and its work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.runtime.tiny import CPU, LAYOUT, tiny_batch, tiny_pipeline
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.pipeline import make_scheduler
from turbo_lab.runtime.sampler import Sampler, SharedWork
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams
from turbo_lab.runtime.stock import StockSampler, stock_arguments, why_not_covered


@pytest.fixture
def statistics_folder(tiny_sdxl_dir: Path, tmp_path: Path) -> Path:
    """A VAE with latent statistics, as some SDXL derivatives have."""
    folder = shutil.copytree(tiny_sdxl_dir, tmp_path / "statistics")
    path = folder / "vae" / "config.json"
    statistics = {"latents_mean": [0.1] * 4, "latents_std": [1.5] * 4}
    path.write_text(json.dumps(json.loads(path.read_text()) | statistics))
    return folder


def stock(
    pipeline: StableDiffusionXLPipeline, batch: Batch, negative: str | None = None
) -> np.ndarray:
    """Draw the batch by ``StableDiffusionXLPipeline.__call__``."""
    pipeline.scheduler = make_scheduler(batch.recipe.scheduler)
    pictures = pipeline(**stock_arguments(batch, negative, SWEEP_SEAMS)).images
    return np.stack([np.asarray(picture) for picture in pictures])


def test_vae_that_the_loop_does_not_cover_is_left_to_the_stock_pipeline(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path, statistics_folder: Path
) -> None:
    assert why_not_covered(pipeline) is None
    loop = Sampler(tiny_pipeline(statistics_folder), CPU, WorkDone())
    assert why_not_covered(loop.pipeline) == "a VAE with latent statistics"
    fallback = StockSampler(loop.pipeline, loop.device, WorkDone())
    seen: list[str] = []

    def observe(stage: str, tensor: torch.Tensor) -> torch.Tensor:
        seen.append(stage)
        return tensor

    batch = tiny_batch(tiny_sdxl_dir, guidance=2.0, negative="blurry")
    with image_lane(1):
        wanted = stock(loop.pipeline, batch, "blurry")
        drawn = fallback.run(batch, "blurry", SharedWork(), observe)
        assert np.array_equal(drawn, wanted)
        assert not np.array_equal(loop.run(batch, "blurry", SharedWork()), wanted)
    assert fallback.work == WorkDone(unet_rows=12, unet_calls=2, vae_rows=3, text_rows=6)
    assert seen[0] == "noise" and seen[-1] == "vae" and "unet.1" in seen


@pytest.mark.parametrize(
    ("owner", "attribute", "reason"),
    [
        ("unet", "encoder_hid_proj", "an IP adapter"),
        ("", "watermark", "a watermark"),
        ("", "_all_hooks", "offloaded weights"),
        ("unet", "_hf_hook", "offloaded weights"),
    ],
)
def test_what_the_sampler_does_not_cover_is_named(
    pipeline: StableDiffusionXLPipeline,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    attribute: str,
    reason: str,
) -> None:
    assert why_not_covered(pipeline) is None
    target = getattr(pipeline, owner) if owner else pipeline
    monkeypatch.setattr(target, attribute, torch.nn.Identity(), raising=False)
    assert why_not_covered(pipeline) == reason


def test_arguments_are_those_of_the_batch_with_fresh_generators(tiny_sdxl_dir: Path) -> None:
    batch = tiny_batch(tiny_sdxl_dir, guidance=2.0, negative="blurry")
    found = stock_arguments(batch, "blurry", SWEEP_SEAMS)
    assert [own.initial_seed() for own in found.pop("generator")] == [1, 2, 3]
    assert found == {
        "prompt": ["a red apple", "b", "c <&> d"],
        "negative_prompt": ["blurry"] * 3,
        "num_inference_steps": 2,
        "guidance_scale": 2.0,
        "width": 64,
        "height": 64,
    }
    assert stock_arguments(batch, None, SWEEP_SEAMS)["negative_prompt"] is None


def test_replaced_steps_are_used(pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path) -> None:
    batch = tiny_batch(tiny_sdxl_dir, steps=1)
    encoded: list[object] = []

    def encode(run, **options):
        encoded.append(options["prompt"])
        return run(**options)

    seams = Seams(encode_prompt=encode, decode=lambda run, latents: -run(latents))
    with image_lane(1):
        plain = StockSampler(pipeline, CPU, WorkDone()).run(batch, None, SharedWork())
        turned = StockSampler(pipeline, CPU, WorkDone(), seams).run(batch, None, SharedWork())
    assert encoded == [list(LAYOUT.prompts)]
    assert np.abs(plain.astype(int) + turned - 255).max() <= 1
    assert "decode" not in vars(pipeline.vae) and "encode_prompt" not in vars(pipeline)
