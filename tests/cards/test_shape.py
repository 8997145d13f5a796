"""The shapes that ship: the exact architectures, and not a single weight."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
import transformers

from tests.tiny_shape import save_tiny_shape
from turbo_lab.cards import locate, locate_vae, model_card, read_packaged_card
from turbo_lab.cards.locate import ModelFiles
from turbo_lab.cards.shape import SHAPE_FILE, read_seed
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache

SHAPES = ("sdxl-turbo-shape", "sdxl-base-shape", "lcm-sdxl-shape")
# As published with the checkpoints, and as counted in the measurement on an H200.
UNET, TEXT, TEXT_2, VAE = 2_567_463_684, 123_060_480, 694_659_840, 83_653_863
# The projection of the guidance scale: 256 numbers to 320.
COND = 256 * 320


def config(files: ModelFiles, part: str) -> dict[str, object]:
    values: dict[str, object] = json.loads((files.path / part / "config.json").read_text())
    return values


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("name", SHAPES)
def test_every_part_has_the_size_of_the_real_one(name: str, cache: DigestCache) -> None:
    files = locate(model_card(name), cache)
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(config(files, "unet"))
        vae = diffusers.AutoencoderKL.from_config(config(files, "vae"))
        first, second = (
            kind(transformers.CLIPTextConfig(**config(files, part)))
            for kind, part in (
                (transformers.CLIPTextModel, "text_encoder"),
                (transformers.CLIPTextModelWithProjection, "text_encoder_2"),
            )
        )
    sizes = [count(module) for module in (unet, first, second, vae)]
    assert sizes == [UNET + (COND if name.startswith("lcm") else 0), TEXT, TEXT_2, VAE]
    assert read_packaged_card(name).parameters == sum(sizes)


def test_settings_are_those_of_the_models(cache: DigestCache) -> None:
    turbo, base, lcm = (locate(model_card(name), cache) for name in SHAPES)
    assert (turbo.resolution, base.resolution, lcm.resolution) == (512, 1024, 1024)
    assert [files.has_time_cond for files in (turbo, base, lcm)] == [False, False, True]
    published = model_card("sdxl-turbo").scheduler
    assert published is not None and published.items() <= turbo.scheduler.items()
    assert base.scheduler["_class_name"] == "EulerDiscreteScheduler"
    assert lcm.scheduler["_class_name"] == "LCMScheduler"
    assert config(turbo, "vae")["force_upcast"] is True  # SDXL's own VAE overflows in float16


def test_a_shape_has_no_weights_and_an_identity_of_its_own(cache: DigestCache) -> None:
    found = [locate(model_card(name), cache) for name in SHAPES]
    assert len({files.digest for files in found}) == len(SHAPES)
    for files in found:
        assert files.has_random_weights and SHAPE_FILE in files.files
        assert not list(files.path.rglob("*.safetensors"))
        assert set(files.components) == {
            "unet",
            "vae",
            "text_encoder",
            "text_encoder_2",
            "tokenizer",
            "tokenizer_2",
        }
    assert not locate(model_card("nano-turbo"), cache).has_random_weights


def test_the_shape_of_a_vae_takes_the_place_of_another(cache: DigestCache) -> None:
    vae = locate_vae("sdxl-vae-fp16-shape", cache)
    assert vae.has_random_weights and not locate_vae("nano-vae", cache).has_random_weights
    assert json.loads((vae.path / "config.json").read_text())["force_upcast"] is False
    assert read_packaged_card("sdxl-vae-fp16-shape").parameters == VAE


def test_a_shape_of_ones_own_is_a_folder(
    tiny_sdxl_dir: Path, tmp_path: Path, cache: DigestCache
) -> None:
    first = save_tiny_shape(tiny_sdxl_dir, tmp_path / "shape")
    other = save_tiny_shape(tiny_sdxl_dir, tmp_path / "other", seed=1)
    local = replace(model_card("nano-turbo"), name="local", source="local")
    files, others = (locate(replace(local, path=str(path)), cache) for path in (first, other))
    assert files.has_random_weights and files.digest != others.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "seed=None: must be an integer"),
        ('{"seed": -1}', "seed=-1: must be an integer, at least 0"),
        ('{"seed": true}', "seed=True"),
    ],
)
def test_a_damaged_mark_is_refused(text: str, message: str, tmp_path: Path) -> None:
    assert read_seed(tmp_path) is None
    (tmp_path / SHAPE_FILE).write_text(text)
    with pytest.raises(InputError, match=message):
        read_seed(tmp_path)
