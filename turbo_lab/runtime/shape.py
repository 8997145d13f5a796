"""Pipelines with seeded random weights, made on their device from configurations alone.

Owns drawing the weights: nothing is read from disk, sent to the device or saved, so that the
full size of SDXL is there in seconds. The draw is the modules' own initialisation, whose values
are of ordinary size; zeros or constants would let some kernels be faster than they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from turbo_lab.cards.shape import read_seed
from turbo_lab.errors import InputError
from turbo_lab.untrusted.json_text import parse_json

_VAES: Mapping[str, Any] = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny)}


def make_pipeline(
    folder: Path, scheduler: Any, dtype: torch.dtype, device: torch.device, vae: Any = None
) -> StableDiffusionXLPipeline:
    """Make the pipeline of a shape's folder; ``vae`` takes the place of the shape's own.

    Raises what the libraries raise for configurations that are not those of an SDXL pipeline.
    """
    with _drawing(folder, dtype, device):
        # In this order, so that a seed always gives the same weights.
        unet = UNet2DConditionModel.from_config(_config(folder / "unet"))
        first = CLIPTextModel(_text_config(folder / "text_encoder", dtype))
        second = CLIPTextModelWithProjection(_text_config(folder / "text_encoder_2", dtype))
        drawn = vae or AutoencoderKL.from_config(_config(folder / "vae"))
    window = first.config.max_position_embeddings
    switches = _read(folder / "model_index.json")
    return StableDiffusionXLPipeline(
        unet=unet.eval(),
        text_encoder=first.eval(),
        text_encoder_2=second.eval(),
        vae=drawn.eval(),
        tokenizer=_tokenizer(folder / "tokenizer", window),
        tokenizer_2=_tokenizer(folder / "tokenizer_2", window),
        scheduler=scheduler,
        force_zeros_for_empty_prompt=switches.get("force_zeros_for_empty_prompt", True),
        add_watermarker=False,
    )


def make_vae(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    """Make the VAE of a shape's folder. Raises :class:`InputError` for another class."""
    config = _config(folder)
    name = str(config.get("_class_name"))
    if name not in _VAES:
        raise InputError(f"vae: {folder}: _class_name={name}: must be {' or '.join(_VAES)}")
    with _drawing(folder, dtype, device):
        return _VAES[name].from_config(config).eval()


@contextmanager
def _drawing(folder: Path, dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Make modules in a dtype on a device, from the folder's seed; torch's state is restored."""
    seed = read_seed(folder)
    assert seed is not None, "only a shape's folder comes here"
    before = torch.get_default_dtype()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.device(device):
        torch.manual_seed(seed)
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def _text_config(folder: Path, dtype: torch.dtype) -> CLIPTextConfig:
    """Return a text encoder's configuration; the dtype that it was saved with does not count."""
    return CLIPTextConfig(**{**_config(folder), "dtype": dtype})


def _tokenizer(folder: Path, window: int) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=window)


def _config(folder: Path) -> dict[str, Any]:
    return _read(folder / "config.json")


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    return values
