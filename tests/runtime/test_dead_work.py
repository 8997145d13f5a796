"""Work that decides no bit: what is left out, that bits are kept, and what is put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig

from tests.runtime.test_exact import make_batch, sampler_of, scheduler_json, stock
from turbo_lab.cards import ModelSource
from turbo_lab.runtime import dead_work
from turbo_lab.runtime.dead_work import DeadWork, without_last_layer
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.pipeline import load_pipeline
from turbo_lab.runtime.proof import prove

CPU = torch.device("cpu")
IDS = torch.arange(77 * 2).reshape(2, 77) % 200


@pytest.fixture
def pipeline(tiny_sdxl_dir: Path) -> StableDiffusionXLPipeline:
    scheduler = scheduler_json(tiny_sdxl_dir, "EulerAncestralDiscreteScheduler")
    return load_pipeline(ModelSource(tiny_sdxl_dir), scheduler, "float32", CPU)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def settings(pipeline: StableDiffusionXLPipeline) -> list[tuple[str, object]]:
    """Every divisor and every in-place switch of UNet and VAE."""
    return [
        (f"{path}.{name}", getattr(module, name))
        for part in (pipeline.unet, pipeline.vae)
        for path, module in part.named_modules()
        for name in ("output_scale_factor", "rescale_output_factor", "inplace")
        if hasattr(module, name)
    ]


def in_place(part: torch.nn.Module) -> int:
    return sum(m.inplace for m in part.modules() if isinstance(m, torch.nn.SiLU))


def test_divisions_and_copies_are_left_out_and_put_back(
    pipeline: StableDiffusionXLPipeline,
) -> None:
    before = settings(pipeline)
    left_out = DeadWork(pipeline.unet, pipeline.vae)
    changed = settings(pipeline)
    assert len(changed) == len(before) > 20
    assert not any(value == 1 and value is not True for _, value in changed), "no divisor is left"
    # Two per block of the decoder, of which one module serves both, and its last activation.
    assert in_place(pipeline.vae.decoder) > 5
    assert in_place(pipeline.vae.encoder) == in_place(pipeline.unet) == 0
    left_out.restore()
    assert settings(pipeline) == before


def test_a_divisor_that_is_not_one_stays(pipeline: StableDiffusionXLPipeline) -> None:
    block = pipeline.unet.mid_block.resnets[0]
    block.output_scale_factor = 2.0
    DeadWork(pipeline.unet, pipeline.vae)
    assert block.output_scale_factor == 2.0


def test_a_compiled_part_stays_as_its_compiler_saw_it(
    pipeline: StableDiffusionXLPipeline,
) -> None:
    before = settings(pipeline)
    pipeline.unet.compile(backend="eager")
    pipeline.vae.decoder.compile(backend="eager")
    DeadWork(pipeline.unet, pipeline.vae)
    assert settings(pipeline) == before


def test_a_decoder_keeps_its_bits_and_its_input(pipeline: StableDiffusionXLPipeline) -> None:
    latents = torch.randn(2, 4, 8, 8, generator=torch.manual_seed(1))
    kept = latents.clone()
    wanted = pipeline.vae.decode(latents, return_dict=False)[0]
    DeadWork(pipeline.unet, pipeline.vae)
    for _ in range(2):
        assert torch.equal(pipeline.vae.decode(latents, return_dict=False)[0], wanted)
    assert torch.equal(latents, kept)


@pytest.mark.parametrize("has_lora", [False, True])
def test_the_layer_before_the_last_is_enough(
    has_lora: bool, pipeline: StableDiffusionXLPipeline
) -> None:
    encoder = pipeline.text_encoder
    shorter = without_last_layer(encoder)
    assert shorter is not None
    plain = encoder(IDS, output_hidden_states=True).hidden_states[-2]
    if has_lora:  # put on after the view was made, as by a sweep
        adapter = LoraConfig(r=2, target_modules=["q_proj", "fc1"], init_lora_weights=False)
        with torch.inference_mode(False):
            encoder.add_adapter(adapter)
    wanted = encoder(IDS, output_hidden_states=True).hidden_states[-2]
    assert torch.equal(shorter(IDS)[0], wanted)
    assert torch.equal(wanted, plain) != has_lora


def test_an_encoder_of_another_build_is_called_whole() -> None:
    assert without_last_layer(torch.nn.Linear(2, 2)) is None


def test_work_that_does_decide_bits_is_found_and_put_back(
    tiny_sdxl_dir: Path, pipeline: StableDiffusionXLPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_work._One, "__rtruediv__", lambda self, dividend: dividend * 1.001)
    before = settings(pipeline)
    stages = ExactStages(pipeline, CPU)
    batch = make_batch(tiny_sdxl_dir)
    with torch.inference_mode(False), image_lane(1):
        prove(stages, batch, None)
        assert stages.given_back == {"unet": "unet.0"}
        assert settings(pipeline) == before
        assert np.array_equal(sampler_of(stages).run_alone(batch, None), stock(stages, batch, None))
