"""NaN and infinity: a batch fails, and the message names the first stage and what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cards.checkpoints import TO_Q
from tests.runtime.test_sampler import LAYOUT, SCHEDULERS, recipe, scheduler_json
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.cards import ModelSource
from turbo_lab.errors import NonFiniteError
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch, Recipe
from turbo_lab.runtime import lora, timed_call
from turbo_lab.runtime.batched import BatchedGroup
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.finite import all_finite
from turbo_lab.runtime.pipeline import load_pipeline
from turbo_lab.runtime.runners import BatchedRunner
from turbo_lab.runtime.sampler import Sampler, SharedWork, to_uint8
from turbo_lab.runtime.seams import SWEEP_SEAMS, pass_on
from turbo_lab.runtime.stock import StockSampler
from turbo_lab.runtime.timed_call import exact_call, stock_call
from turbo_lab.runtime.timing import measure_call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_sdxl(tmp_path / "tiny")


def spoil(file: Path, name: str, value: float) -> None:
    """Write one value into a tensor of a file."""
    weights = load_file(file)
    weights[name].view(-1)[0] = value
    save_file(weights, file)


def sampler_of(folder: Path, dtype: str = "float32") -> Sampler:
    scheduler = scheduler_json(folder, SCHEDULERS[0])
    pipeline = load_pipeline(ModelSource(folder), scheduler, dtype, torch.device("cpu"))
    return Sampler(pipeline, torch.device("cpu"), WorkDone())


def batch_of(folder: Path, guidance: float = 0.0, dtype: str = "float32") -> Batch:
    one: Recipe = recipe(scheduler_json(folder, SCHEDULERS[0]), 2, guidance, None)
    return Batch(replace(one, height=64, dtype=dtype), LAYOUT)


def failure(sampler: Sampler, batch: Batch) -> NonFiniteError:
    with image_lane(1), pytest.raises(NonFiniteError) as raised:
        sampler.run(batch, None, SharedWork())
    return raised.value


@pytest.mark.parametrize(
    ("file", "name", "stage"),
    [
        ("text_encoder_2/model", "text_model.final_layer_norm.bias", "pooled_prompt_embeds"),
        ("text_encoder/model", "encoder.layers.0.mlp.fc1.bias", "prompt_embeds"),
        ("unet/diffusion_pytorch_model", "conv_in.bias", "unet.0"),
        ("vae/diffusion_pytorch_model", "decoder.conv_in.bias", "vae"),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_bad_weights_are_named_with_the_first_stage(
    folder: Path, file: str, name: str, stage: str, value: float
) -> None:
    spoil(folder / f"{file}.safetensors", name, value)
    error = failure(sampler_of(folder), batch_of(folder))
    assert error.stage == stage
    assert str(error) == (
        f"non-finite values (NaN or infinity), first in {stage}: the weights hold NaN or infinity "
        f"({file.partition('/')[0]}.{name}); get the file again"
    )


def test_a_lora_of_nan_is_named(folder: Path, tmp_path: Path) -> None:
    width = 32
    file = tmp_path / "nan.safetensors"
    halves = {
        f"unet.{TO_Q}.lora_A.weight": torch.full((4, width), float("nan")),
        f"unet.{TO_Q}.lora_B.weight": torch.zeros(width, 4),
    }
    save_file(halves, file)
    sampler = sampler_of(folder)
    lora.put_on(sampler.pipeline, [("nan", file, 1.0)])
    error = failure(sampler, batch_of(folder))
    assert error.stage == "unet.0" and "first in unet.0: the LoRA's weights hold" in str(error)


def test_settings_that_overflow_are_named(folder: Path) -> None:
    error = failure(sampler_of(folder), batch_of(folder, guidance=1e308))
    assert error.stage == "latents.0"
    assert "but values computed from them overflow; lower guidance_scale=1e+308" in str(error)


def overflowing_vae(folder: Path) -> Path:
    """A VAE that is sound in float32 and overflows in float16, as SDXL's own does."""
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["decoder.mid_block.resnets.0.conv1.weight"] *= 1e5
    save_file(weights, file)
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"force_upcast": False}))
    return folder


def test_a_vae_that_overflows_in_float16_is_named(folder: Path) -> None:
    overflowing_vae(folder)
    with image_lane(1):
        sampler_of(folder).run(batch_of(folder), None, SharedWork())  # sound in float32
    error = failure(sampler_of(folder, "float16"), batch_of(folder, dtype="float16"))
    assert str(error) == (
        "non-finite values (NaN or infinity), first in vae: the VAE overflows in float16; use "
        "dtype=bfloat16 or dtype=float32 or, for the VAE, vae= with one made for float16"
    )


def test_infinity_that_would_be_white_is_found() -> None:
    """The clamp to [0, 1] hides infinity: only NaN would survive it."""
    decoded = torch.zeros(1, 3, 8, 8)
    assert to_uint8(decoded)[1]
    for value in (float("inf"), float("-inf"), float("nan")):
        decoded[0, 0, 0, 0] = value
        assert not to_uint8(decoded)[1] and not all_finite(decoded)


def test_common_passes_and_the_stock_pipeline_name_the_same_stage(folder: Path) -> None:
    spoil(folder / "unet" / "diffusion_pytorch_model.safetensors", "conv_in.bias", float("nan"))
    sampler, batch = sampler_of(folder), batch_of(folder)
    alone = StockSampler(sampler.pipeline, sampler.device, WorkDone())
    with image_lane(1):
        with pytest.raises(NonFiniteError, match=r"first in unet\.0: the weights hold"):
            BatchedGroup(sampler, [(batch, None)]).images(batch)
        with pytest.raises(NonFiniteError, match=r"first in unet\.0: the weights hold"):
            alone.run(batch, None, SharedWork())


def test_one_batch_of_a_common_pass_fails_and_the_others_are_kept(folder: Path) -> None:
    sampler = sampler_of(folder)
    good, bad = batch_of(folder, guidance=2.0), batch_of(folder, guidance=1e308)
    runner = BatchedRunner(sampler, [(good, None), (bad, None)], may_split=False)
    with image_lane(1):
        drawn = runner.run(good, None, pass_on)
        with pytest.raises(NonFiniteError, match=r"first in latents\.0"):
            runner.run(bad, None, pass_on)
    assert drawn.pixels.shape == (4, 64, 64, 3)


@pytest.mark.parametrize("loop", ["stock", "exact"])
def test_the_timing_lane_names_the_first_stage_before_it_times(folder: Path, loop: str) -> None:
    spoil(folder / "unet" / "diffusion_pytorch_model.safetensors", "conv_in.bias", float("nan"))
    sampler, batch = sampler_of(folder), batch_of(folder)
    if loop == "stock":
        call = stock_call(sampler.pipeline, batch, None, SWEEP_SEAMS)
    else:
        stages = ExactStages(sampler.pipeline, sampler.device, None)
        call = exact_call(stages, batch, None, SWEEP_SEAMS)
    with pytest.raises(NonFiniteError, match=r"first in unet\.0: the weights hold"):
        measure_call(call)


def test_only_the_first_timed_call_is_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is timed is the stock call alone."""
    checked: list[torch.Tensor] = []

    def count(tensor: torch.Tensor) -> torch.Tensor:
        checked.append(tensor)
        return all_finite(tensor)

    monkeypatch.setattr(timed_call, "all_finite", count)
    sampler = sampler_of(folder)
    decode = sampler.pipeline.vae.decode
    call = stock_call(sampler.pipeline, batch_of(folder), None, SWEEP_SEAMS)
    for _ in range(3):
        call()
        assert sampler.pipeline.vae.decode == decode
    assert len(checked) == 1
