"""A pipeline from single files, whole or in part: the weights are those of the folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.original_names import single_file
from turbo_lab.cards import assemble, locate, model_card
from turbo_lab.cards.card import local_card
from turbo_lab.identity import canonical_json
from turbo_lab.runtime.pipeline import load_pipeline

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def nano() -> Path:
    return assemble("nano-turbo")


@pytest.fixture(scope="module")
def original(nano: Path) -> dict[str, torch.Tensor]:
    return single_file(nano)


@pytest.fixture(scope="module")
def wanted(nano: Path) -> Mapping[str, torch.Tensor]:
    return weights(nano, None)


def weights(path: Path, base: str | None) -> dict[str, torch.Tensor]:
    """Every weight of the pipeline that a user's own file or folder gives."""
    files = locate(replace(local_card(path), base=base))
    scheduler = canonical_json(dict(files.scheduler))
    pipeline = load_pipeline(files.source, scheduler, "float32", torch.device("cpu"))
    return {
        f"{part}.{name}": value
        for part in PARTS
        for name, value in getattr(pipeline, part).state_dict().items()
    }


def assert_same(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@pytest.mark.parametrize(
    "dropped",
    [("first_stage_model.",), ("conditioner.",), ("first_stage_model.", "conditioner.")],
    ids=["no VAE", "no text encoders", "UNet only"],
)
def test_a_part_of_a_checkpoint_on_a_base(
    original: Mapping[str, torch.Tensor],
    wanted: Mapping[str, torch.Tensor],
    dropped: tuple[str, ...],
    tmp_path: Path,
) -> None:
    path = tmp_path / "part.safetensors"
    save_file({k: v for k, v in original.items() if not k.startswith(dropped)}, path)
    assert_same(weights(path, "nano-sdxl"), wanted)


def test_a_whole_checkpoint_takes_the_configs_of_sdxl_base(
    nano: Path,
    original: Mapping[str, torch.Tensor],
    wanted: Mapping[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--stabilityai--stable-diffusion-xl-base-1.0" / "snapshots"
    configs = home / str(model_card("sdxl-base").revision)
    shutil.copytree(nano, configs, ignore=shutil.ignore_patterns("*.safetensors"))
    path = tmp_path / "whole.safetensors"
    save_file(dict(original), path)
    assert_same(weights(path, None), wanted)


def test_a_unet_in_diffusers_names_on_a_base(
    nano: Path, wanted: Mapping[str, torch.Tensor]
) -> None:
    unet = nano / "unet"
    assert_same(weights(unet / "diffusion_pytorch_model.safetensors", "nano-sdxl"), wanted)
    assert_same(weights(unet, "nano-sdxl"), wanted)
