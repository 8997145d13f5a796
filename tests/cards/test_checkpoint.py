"""What files and folders are that people pass for an SDXL checkpoint, by header and config."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from turbo_lab.cards import ModelCard, assemble, check_is_whole, locate, model_card
from turbo_lab.cards.card import local_card
from turbo_lab.cards.checkpoint import identify
from turbo_lab.errors import InputError, MissingFilesError

UNET = "model.diffusion_model."
SDXL = {
    f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{UNET}label_emb.0.0.weight": (1280, 2816),
    f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (768,),
    "conditioner.embedders.1.model.ln_final.weight": (1280,),
}
SD_1 = {
    f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
}
DIFFUSERS = {
    "conv_in.weight": (320, 4, 3, 3),
    "down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3),
    "add_embedding.linear_1.weight": (1280, 2816),
}


def without(start: str) -> dict[str, tuple[int, ...]]:
    """SDXL without one of its parts."""
    return {name: shape for name, shape in SDXL.items() if not name.startswith(start)}


@pytest.mark.parametrize(
    ("shapes", "layout", "missing"),
    [
        (SDXL, "original", ()),
        (without("first_stage"), "original", ("vae",)),
        (without("conditioner"), "original", ("text_encoder", "text_encoder_2")),
        (DIFFUSERS, "diffusers", ("vae", "text_encoder", "text_encoder_2")),
    ],
)
def test_parts_of_a_file(
    shapes: dict[str, tuple[int, ...]], layout: str, missing: tuple[str, ...]
) -> None:
    contents = identify(shapes, "model: a")
    assert (contents.layout, contents.missing) == (layout, missing)
    assert not contents.has_time_cond and not contents.is_v_prediction


def test_marks_of_a_file() -> None:
    assert identify(SDXL | {"v_pred": (0,)}, "model: a").is_v_prediction
    lcm = DIFFUSERS | {"time_embedding.cond_proj.weight": (320, 256)}
    assert identify(lcm, "model: a").has_time_cond


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [
        (SD_1, "Stable Diffusion 1.x"),
        (SD_1 | {"cond_stage_model.transformer.x": (1,)}, "Stable Diffusion 1.x"),
        (SD_1 | {"cond_stage_model.model.x": (1,)}, "Stable Diffusion 2.x"),
        (SDXL | {f"{UNET}input_blocks.0.0.weight": (320, 9, 3, 3)}, "an inpainting model"),
        (SDXL | {f"{UNET}input_blocks.0.0.weight": (320, 8, 3, 3)}, "an image-editing model"),
        (SDXL | {f"{UNET}label_emb.0.0.weight": (1536, 2560)}, "SDXL's refiner"),
        (without("conditioner.embedders.1") | {"edm_mean": (4,)}, r"an EDM model"),
        ({"conditioner.embedders.0.model.ln_final.weight": (1280,)}, "SDXL's refiner"),
        ({"model.diffusion_model.joint_blocks.0.x": (1,)}, "Stable Diffusion 3, a flow model"),
        ({"double_blocks.0.img_attn.qkv.weight": (1, 1)}, "Flux, a flow model"),
        ({"model.diffusion_model.double_blocks.0.x": (1, 1)}, "Flux, a flow model"),
        ({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, "a ControlNet"),
        ({"lora_unet_x.lora_down.weight": (4, 4)}, "a LoRA, not a model; pass it as lora=PATH"),
        ({"unet.x.lora_A.weight": (4, 4)}, "a LoRA"),
        ({"lora_unet_x.hada_w1_a": (4, 4)}, "a LoRA"),
        ({"clip_l": (2, 768), "clip_g": (2, 1280)}, "a textual inversion embedding"),
        ({"decoder.conv_in.weight": (8, 4, 3, 3)}, "a VAE, not a model"),
        ({"first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)}, "a VAE, not a model"),
        ({"text_model.final_layer_norm.weight": (8,)}, "a text encoder, not a model"),
        ({"input_blocks.0.0.weight": (8, 4, 3, 3)}, "a UNet without the prefix"),
    ],
)
def test_what_a_file_is(shapes: dict[str, tuple[int, ...]], kind: str) -> None:
    with pytest.raises(InputError, match=f"^model: a: is {kind}"):
        identify(shapes, "model: a")


def test_an_unknown_file_shows_its_tensors() -> None:
    with pytest.raises(InputError, match=r"holds no UNet .* \(it has x, y\)"):
        identify({"y": (1,), "x": (1,)}, "model: a")


# Folders, made from the family that ships


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    return shutil.copytree(assemble("nano-turbo"), tmp_path / "nano")


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def without_parts(nano: Path, *parts: str, **values: Any) -> None:
    change(nano / "model_index.json", **{part: [None, None] for part in parts}, **values)
    for part in parts:
        shutil.rmtree(nano / part)


def pointer(path: Path) -> None:
    path.unlink()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 83375\n")


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda nano: without_parts(
                nano,
                "text_encoder",
                "tokenizer",
                _class_name="StableDiffusionXLImg2ImgPipeline",
            ),
            r"is SDXL's refiner \(one text encoder\)",
        ),
        (lambda nano: without_parts(nano, "tokenizer"), "has no tokenizer; name the model"),
        (lambda nano: without_parts(nano, "vae"), r"has no vae; .* \(or vae= for the VAE\)"),
        (
            lambda nano: change(nano / "unet" / "config.json", in_channels=9),
            "is an inpainting model",
        ),
        (
            lambda nano: change(nano / "unet" / "config.json", addition_embed_type=None),
            "is Stable Diffusion 1.x, 2.x or a relative",
        ),
        (
            lambda nano: change(nano / "model_index.json", _class_name="StableDiffusion3Pipeline"),
            "is Stable Diffusion 3, a flow model",
        ),
        (
            lambda nano: change(nano / "model_index.json", _class_name="KolorsPipeline"),
            "is a 'KolorsPipeline' of diffusers",
        ),
        (lambda nano: pointer(nano / "text_encoder" / "model.safetensors"), "Git LFS pointer"),
        (lambda nano: pointer(nano / "unet" / "config.json"), "Git LFS pointer"),
        (lambda nano: pointer(nano / "tokenizer" / "tokenizer.json"), "Git LFS pointer"),
        (lambda nano: cut(nano / "text_encoder_2" / "model.safetensors"), "is cut off"),
        (
            lambda nano: (nano / "scheduler" / "scheduler_config.json").write_text("{}"),
            "has no _class_name",
        ),
    ],
)
def test_what_a_folder_is(nano: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(nano)
    with pytest.raises(InputError, match=message):
        locate(local_card(nano))


def test_a_folder_takes_what_it_lacks_from_a_base(nano: Path) -> None:
    whole = locate(local_card(nano))
    without_parts(nano, "vae", "tokenizer", "scheduler")
    files = locate(on_base(nano))
    assert files.files == whole.files
    assert files.scheduler["_class_name"] == "EulerDiscreteScheduler", "it is nano-sdxl's"


# Single files


def on_base(path: Path, base: str = "nano-sdxl") -> ModelCard:
    """The card of a user's own file, completed by a base."""
    return replace(local_card(path), base=base)


def test_a_unet_in_one_file_needs_a_base(tmp_path: Path) -> None:
    folder = assemble("nano-turbo")
    path = shutil.copy(folder / "unet" / "diffusion_pytorch_model.safetensors", tmp_path)
    with pytest.raises(InputError, match="has no vae, text_encoder, text_encoder_2; name the"):
        locate(local_card(Path(path)))
    for base in ("nano-sdxl", str(folder)):
        files = locate(on_base(Path(path), base))
        assert files.files == locate(local_card(folder)).files
    with pytest.raises(MissingFilesError, match="model.base=nano-sd: is neither a model"):
        locate(on_base(Path(path), "nano-sd"))


def test_a_folder_of_a_unet_needs_a_base() -> None:
    folder = assemble("nano-turbo")
    assert locate(on_base(folder / "unet")).files == locate(local_card(folder)).files
    with pytest.raises(InputError, match="has no vae, text_encoder, text_encoder_2"):
        locate(local_card(folder / "unet"))


def test_the_unet_of_a_full_lcm_needs_its_config(tmp_path: Path) -> None:
    weights = load_file(assemble("nano-turbo") / "unet" / "diffusion_pytorch_model.safetensors")
    weights["time_embedding.cond_proj.weight"] = np.zeros((64, 32), np.float32)
    save_file(weights, tmp_path / "lcm.safetensors")
    with pytest.raises(InputError, match="is the UNet of a full LCM, .* pass the folder"):
        locate(on_base(tmp_path / "lcm.safetensors"))


def lone_file(path: Path, *more: str) -> Path:
    """A file with SDXL's names, small, without a VAE."""
    shapes = {name: (1, 4, 1, 1)[: len(shape)] for name, shape in without("first_stage").items()}
    shapes |= dict.fromkeys(more, (1,))
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, path)
    return path


def test_a_lone_file_takes_parts_from_a_base_or_vae(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lone_file(tmp_path / "a.safetensors")
    files = locate(on_base(path))
    assert (files.source.parts, files.missing, files.resolution) == (("vae",), (), 64)
    check_is_whole(files, has_vae=False)
    # Without a base, SDXL base's configs serve, and the VAE has to be named.
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    base = model_card("sdxl-base")
    home = tmp_path / "models--stabilityai--stable-diffusion-xl-base-1.0" / "snapshots"
    shutil.copytree(assemble("nano-sdxl"), home / str(base.revision))
    alone = locate(local_card(path))
    assert (alone.source.parts, alone.missing, alone.resolution) == ((), ("vae",), None)
    assert alone.digest != files.digest
    check_is_whole(alone, has_vae=True)
    with pytest.raises(InputError, match="has no vae; name the model"):
        check_is_whole(alone, has_vae=False)


def test_a_v_prediction_file_says_how_it_is_sampled(tmp_path: Path) -> None:
    card = on_base(lone_file(tmp_path / "v.safetensors", "v_pred"))
    with pytest.raises(InputError, match=r"trained to predict v; .*prediction_type:v_prediction"):
        locate(card)
    locate(replace(card, scheduler={"prediction_type": "v_prediction"}))
