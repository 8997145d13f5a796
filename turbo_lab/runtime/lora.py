"""Adapters on a resident pipeline: put on and taken off without touching the base.

Adapters are never fused: fusing and unfusing changes 17-27% of fp16 weights.
Taking them off removes their layers, so the base's tensors are the very ones
that were loaded.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

from diffusers import StableDiffusionXLPipeline
from diffusers.loaders import lora_base
from safetensors import SafetensorError

from turbo_lab.errors import InputError
from turbo_lab.runtime.failures import reason, refused_as


def put_on(
    pipeline: StableDiffusionXLPipeline, adapters: Sequence[tuple[str, Path, float]]
) -> None:
    """Load (name, file, weight) in order and activate them together.

    Raises :class:`InputError` for an adapter that does not fit this model;
    adapters that were put on before it are removed again.
    """
    try:
        for index, (name, path, _) in enumerate(adapters):
            remedy = "; use an adapter trained for its architecture"
            with refused_as(f"lora={name}: does not fit this model", remedy):
                try:
                    _load(pipeline, path, f"a{index}")
                except (OSError, SafetensorError) as error:
                    raise InputError(
                        f"lora={name}: cannot be read ({reason(error)}); get the file again"
                    ) from error
        names = [f"a{index}" for index in range(len(adapters))]
        if names:
            pipeline.set_adapters(names, [weight for _, _, weight in adapters])
    except BaseException:  # Ctrl-C too; it goes on to the caller
        take_off(pipeline)
        raise


def _load(pipeline: StableDiffusionXLPipeline, path: Path, name: str) -> None:
    with warnings.catch_warnings():
        # A second adapter is meant.
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        pipeline.load_lora_weights(
            str(path.parent), weight_name=path.name, adapter_name=name, local_files_only=True
        )


def _is_not_about_text_encoders(entry: logging.LogRecord) -> bool:
    """Filter a warning that diffusers gives twice for each adapter of the UNet alone."""
    return "No LoRA keys associated to CLIPTextModel" not in entry.getMessage()


logging.getLogger(lora_base.__name__).addFilter(_is_not_about_text_encoders)


def take_off(pipeline: StableDiffusionXLPipeline) -> None:
    """Remove every adapter."""
    pipeline.unload_lora_weights()
