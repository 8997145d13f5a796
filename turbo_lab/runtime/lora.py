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

from turbo_lab.errors import InputError


def put_on(
    pipeline: StableDiffusionXLPipeline, adapters: Sequence[tuple[str, Path, float]]
) -> None:
    """Load (name, file, weight) in order and activate them together.

    Raises :class:`InputError` for an adapter that does not fit this model;
    adapters that were put on before it are removed again.
    """
    try:
        for index, (name, path, _) in enumerate(adapters):
            try:
                with warnings.catch_warnings():
                    # A second adapter is meant.
                    warnings.filterwarnings("ignore", "Already found a `peft_config`")
                    pipeline.load_lora_weights(
                        str(path.parent),
                        weight_name=path.name,
                        adapter_name=f"a{index}",
                        local_files_only=True,
                    )
            except OSError as error:  # diffusers', for a file that cannot be read
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"lora={name}: cannot be read ({reason}); get the file again"
                ) from error
            except (RuntimeError, ValueError, KeyError) as error:
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"lora={name}: does not fit this model ({reason}); "
                    "use an adapter trained for its architecture"
                ) from error
        names = [f"a{index}" for index in range(len(adapters))]
        if names:
            pipeline.set_adapters(names, [weight for _, _, weight in adapters])
    except BaseException:  # Ctrl-C too; it goes on to the caller
        take_off(pipeline)
        raise


def _is_not_about_text_encoders(entry: logging.LogRecord) -> bool:
    """Filter a warning that diffusers gives twice for each adapter of the UNet alone."""
    return "No LoRA keys associated to CLIPTextModel" not in entry.getMessage()


logging.getLogger(lora_base.__name__).addFilter(_is_not_about_text_encoders)


def take_off(pipeline: StableDiffusionXLPipeline) -> None:
    """Remove every adapter."""
    pipeline.unload_lora_weights()
