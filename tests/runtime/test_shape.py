"""Random weights on the device: the same from a seed, in any dtype, and nothing else disturbed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_shape import save_tiny_shape
from turbo_lab.cards import ModelSource, locate, model_card
from turbo_lab.errors import InputError
from turbo_lab.runtime.pipeline import load_pipeline

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shape(tiny_sdxl_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_shape(tiny_sdxl_dir, tmp_path_factory.mktemp("shapes") / "tiny")


def scheduler(folder: Path) -> str:
    return (folder / "scheduler" / "scheduler_config.json").read_text()


def weights(pipeline: object) -> list[np.ndarray]:
    parts = ("unet", "vae", "text_encoder", "text_encoder_2")
    return [
        weight.detach().float().numpy()
        for part in parts
        for weight in getattr(pipeline, part).parameters()
    ]


def test_a_seed_always_gives_the_same_weights(shape: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (
        load_pipeline(ModelSource(shape), scheduler(shape), "float32", CPU) for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
    for one, other in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not any(part.training for part in (first.unet, first.vae, first.text_encoder))


def test_another_seed_gives_others(shape: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shape, tmp_path / "other")
    (other / "shape.json").write_text('{"seed": 1}')
    first, second = (
        load_pipeline(ModelSource(path), scheduler(shape), "float32", CPU)
        for path in (shape, other)
    )
    assert any(
        not np.array_equal(a, b) for a, b in zip(weights(first), weights(second), strict=True)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_made_in_the_pipelines_dtype(shape: Path, dtype: str) -> None:
    pipeline = load_pipeline(ModelSource(shape), scheduler(shape), dtype, CPU)
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
    assert {part.dtype for part in parts} == {getattr(torch, dtype)}


def test_it_draws_as_any_other_pipeline(shape: Path) -> None:
    pipeline = load_pipeline(ModelSource(shape), scheduler(shape), "float32", CPU)
    image = pipeline(
        "a panda",
        num_inference_steps=2,
        guidance_scale=0.0,
        height=64,
        width=64,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images
    assert image.shape == (1, 64, 64, 3) and np.isfinite(image).all() and image.std() > 0
    assert pipeline.tokenizer.model_max_length == 77
    assert pipeline.scheduler.config.timestep_spacing == "trailing"


def test_another_vae_takes_the_place_of_its_own(shape: Path, tmp_path: Path) -> None:
    config = json.loads((shape / "vae" / "config.json").read_text())
    vae = tmp_path / "vae"
    vae.mkdir()
    (vae / "config.json").write_text(json.dumps(config | {"force_upcast": False}))
    (vae / "shape.json").write_text('{"seed": 3}')
    pipeline = load_pipeline(ModelSource(shape), scheduler(shape), "float16", CPU, vae=vae)
    assert pipeline.vae.config.force_upcast is False and pipeline.vae.dtype == torch.float16


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("unet", {"block_out_channels": [16]}, "cannot be loaded as a StableDiffusionXLPipeline"),
        (
            "text_encoder",
            {"hidden_size": "wide"},
            "cannot be loaded as a StableDiffusionXLPipeline",
        ),
        ("vae", {"norm_num_groups": 7}, "cannot be loaded as a StableDiffusionXLPipeline"),
    ],
)
def test_wrong_configurations_are_refused_in_one_line(
    part: str, change: dict[str, object], message: str, shape: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(shape, tmp_path / "wrong")
    path = folder / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as refused:
        load_pipeline(ModelSource(folder), scheduler(shape), "float32", CPU)
    assert "\n" not in str(refused.value)


def test_a_vae_of_another_class_is_refused(shape: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    (tmp_path / "shape.json").write_text('{"seed": 0}')
    with pytest.raises(
        InputError,
        match="_class_name=UNet2DConditionModel: must be AutoencoderKL or AutoencoderTiny",
    ):
        load_pipeline(ModelSource(shape), scheduler(shape), "float32", CPU, vae=tmp_path)


@pytest.mark.gpu
def test_the_true_size_is_made_on_the_card() -> None:
    files = locate(model_card("sdxl-turbo-shape"))
    text = json.dumps(dict(files.scheduler))
    pipeline = load_pipeline(files.source, text, "float16", torch.device("cuda"))
    assert 6.4 < torch.cuda.memory_allocated() / 2**30 < 7.5
    image = pipeline("a panda", num_inference_steps=1, guidance_scale=0.0, output_type="np").images
    assert image.shape == (1, 512, 512, 3) and np.isfinite(image).all()
