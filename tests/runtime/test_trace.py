"""The stages of a stock call, without changing the call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.runtime.tiny import LAYOUT, tiny_batch
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.pipeline import make_scheduler
from turbo_lab.runtime.seams import SWEEP_SEAMS
from turbo_lab.runtime.stock import stock_arguments
from turbo_lab.runtime.trace import traced_call

STAGES = [
    "prompt_embeds",
    "pooled_prompt_embeds",
    "noise",
    "unet.0",
    "latents.0",
    "unet.1",
    "latents.1",
    "vae",
]


@pytest.fixture
def loaded(pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path) -> StableDiffusionXLPipeline:
    pipeline.scheduler = make_scheduler(tiny_batch(tiny_sdxl_dir).recipe.scheduler)
    return pipeline


def test_the_call_is_not_changed_and_every_stage_is_kept(
    loaded: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    batch = tiny_batch(tiny_sdxl_dir)
    with image_lane(1):
        images, stages = traced_call(loaded, stock_arguments(batch, None, SWEEP_SEAMS))
        plain = loaded(**stock_arguments(batch, None, SWEEP_SEAMS)).images
    assert list(stages) == STAGES
    np.testing.assert_array_equal(images, np.stack([np.asarray(one) for one in plain]))
    assert stages["noise"].shape == (3, 4, 8, 8) and stages["vae"].shape == (3, 3, 64, 64)
    decoded = (stages["vae"] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    np.testing.assert_array_equal((decoded * 255).round().numpy().astype(np.uint8), images)


def test_the_object_is_as_before_also_after_an_error(
    loaded: StableDiffusionXLPipeline, tiny_sdxl_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = stock_arguments(tiny_batch(tiny_sdxl_dir), None, SWEEP_SEAMS)
    owners = (loaded, loaded.unet, loaded.scheduler, loaded.vae)
    before = [set(vars(owner)) for owner in owners]

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no scheduler")

    with monkeypatch.context() as patch:
        patch.setattr(type(loaded.scheduler), "step", broken)
        with pytest.raises(RuntimeError, match="no scheduler"):
            traced_call(loaded, arguments)
    for owner, names in zip(owners, before, strict=True):
        methods = {"prepare_latents", "encode_prompt", "forward", "step", "decode"}
        assert not (set(vars(owner)) - names) & methods


def test_kept_stages_are_copies(loaded: StableDiffusionXLPipeline, tiny_sdxl_dir: Path) -> None:
    arguments = stock_arguments(tiny_batch(tiny_sdxl_dir), None, SWEEP_SEAMS)
    with image_lane(1):
        _, stages = traced_call(loaded, arguments)
    assert all(not tensor.requires_grad for tensor in stages.values())
    pointers = [tensor.data_ptr() for tensor in stages.values()]
    assert len(set(pointers)) == len(STAGES) == len(stages) and len(LAYOUT.seeds) == 3
    assert not torch.equal(stages["latents.0"], stages["latents.1"])
