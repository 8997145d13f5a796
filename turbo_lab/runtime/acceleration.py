"""Changes that a recipe makes to a loaded pipeline: quantisation, layout, the memory of the VAE.

Owns the order in which the changes are made. Which of them go together is
:mod:`turbo_lab.request.pipeline`'s to decide, before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.environment import package_version
from turbo_lab.errors import MissingFilesError
from turbo_lab.request.pipeline import PipelineKeys


def accelerate(
    pipeline: StableDiffusionXLPipeline, keys: PipelineKeys, torchao_version: str | None
) -> None:
    """Change a loaded pipeline as ``keys`` say; compilation comes after all of it.

    ``torchao_version``: the one that the recipe names; ``None`` without quantisation.
    """
    if keys.fuse_qkv:
        pipeline.fuse_qkv_projections(vae=hasattr(pipeline.vae, "fuse_qkv_projections"))
    if keys.memory_format == "channels_last":
        for part in (pipeline.unet, pipeline.vae):
            part.to(memory_format=torch.channels_last)
    if torchao_version is not None:
        quantize_unet(pipeline, keys.quantization, torchao_version)
    if keys.vae_slicing:
        pipeline.vae.enable_slicing()
    if keys.vae_tiling:
        pipeline.vae.enable_tiling()


def quantize_unet(pipeline: StableDiffusionXLPipeline, kind: str, version: str) -> None:
    """Quantise the UNet's linear layers in place by torchao; adapters go on top, unquantised.

    Raises :class:`MissingFilesError` for another ``version`` than the one installed.
    """
    here = package_version("torchao")
    if here != version:
        raise MissingFilesError(
            f"quantization={kind}: was drawn with torchao {version}, here it is {here}; "
            f"pip install torchao=={version}"
        )
    from torchao import quantization

    # Scales per row are the more exact ones; torchao has them for bfloat16 only.
    is_bfloat16 = pipeline.unet.dtype == torch.bfloat16
    granularity = quantization.PerRow() if is_bfloat16 else quantization.PerTensor()
    configs: dict[str, Callable[[], Any]] = {
        "int8wo": quantization.Int8WeightOnlyConfig,
        "int8dq": quantization.Int8DynamicActivationInt8WeightConfig,
        "float8wo": quantization.Float8WeightOnlyConfig,
        "float8dq": partial(
            quantization.Float8DynamicActivationFloat8WeightConfig, granularity=granularity
        ),
    }
    quantization.quantize_(pipeline.unet, configs[kind]())
