"""The weights that ship: small, safe, and loaded by stock libraries with no word of ours."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.cards import assemble, locate_adapter
from turbo_lab.cards.packaged import WEIGHTS
from turbo_lab.runtime import lora

PIPELINES = ("nano-turbo", "nano-sdxl", "nano-lcm")
PROMPT = "a panda on a blue background"


def files() -> list[Path]:
    return [path for path in WEIGHTS.rglob("*") if path.is_file()]


def stock(name: str) -> StableDiffusionXLPipeline:
    """As anyone would load it: no dtype, no scheduler."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(str(assemble(name)))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn(pipeline: StableDiffusionXLPipeline) -> np.ndarray:
    images = pipeline(
        PROMPT,
        num_inference_steps=2,
        guidance_scale=0.0,
        height=64,
        width=64,
        generator=torch.Generator().manual_seed(0),
    ).images
    return np.asarray(images[0])


def unet_sha256(pipeline: StableDiffusionXLPipeline) -> str:
    state = hashlib.sha256()
    for name, value in sorted(pipeline.unet.state_dict().items()):
        state.update(name.encode() + value.numpy().tobytes())
    return state.hexdigest()


def test_at_most_40_mb_and_no_file_above_16() -> None:
    sizes = [path.stat().st_size for path in files()]
    assert sum(sizes) <= 40e6
    assert max(sizes) <= 16e6


def test_no_pickle() -> None:
    suffixes = {path.suffix for path in files()}
    assert suffixes == {".safetensors", ".json"}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_stock_pipeline_draws(name: str) -> None:
    pipeline = stock(name)
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
    assert {part.dtype for part in parts} == {torch.float32}
    image = drawn(pipeline)
    assert image.shape == (64, 64, 3)
    # A scene: a plain background, and something on it.
    assert 10 < image.std() < 110


def test_a_stock_pipeline_in_half_is_all_in_half() -> None:
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        str(assemble("nano-turbo")), dtype=torch.float16
    )
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
    assert {part.dtype for part in parts} == {torch.float16}


def test_a_stock_pipeline_takes_the_adapters() -> None:
    pipeline = stock("nano-turbo")
    plain = drawn(pipeline)
    for name in ("flat", "ink", "nano-lcm"):
        pipeline.load_lora_weights(str(WEIGHTS / name), adapter_name=name.replace("-", "_"))
        pipeline.set_adapters([name.replace("-", "_")])
        assert np.abs(drawn(pipeline).astype(int) - plain).mean() > 2
    pipeline.unload_lora_weights()
    assert np.array_equal(drawn(pipeline), plain)


@pytest.mark.parametrize("name", PIPELINES)
def test_adapters_leave_the_base_as_it_was(name: str) -> None:
    pipeline = stock(name)
    before = unet_sha256(pipeline)
    named = [(style, locate_adapter(style).path, 0.7) for style in ("flat", "ink")]
    lora.put_on(pipeline, named)
    assert unet_sha256(pipeline) != before  # its layers are renamed, and more
    lora.take_off(pipeline)
    assert unet_sha256(pipeline) == before
    pipeline.unet.conv_in.bias.data[0] += 1e-6
    assert unet_sha256(pipeline) != before


def test_open_clip_loads_the_judge_which_knows_a_scene() -> None:
    folder = f"local-dir:{WEIGHTS / 'nano-clip'}"
    model, _, preprocess = open_clip.create_model_and_transforms(folder)
    tokenizer = open_clip.get_tokenizer(folder)
    from PIL import Image

    pipeline = stock("nano-turbo")
    image = preprocess(Image.fromarray(drawn(pipeline)))[None]
    captions = [PROMPT, "a cactus on a red background", "a rocket on a white background"]
    model.eval()
    with torch.inference_mode():
        seen = model.encode_image(image, normalize=True)
        read = model.encode_text(tokenizer(captions), normalize=True)
    assert (seen @ read.T).argmax().item() == 0
