"""Loading a pipeline: diffusers' own loader, nothing of ours in between.

Owns where weights become a ``StableDiffusionXLPipeline``. Safetensors only, no
network, no watermark. A checkpoint of another kind is refused with what it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.utils import logging as transformers_logging

from turbo_lab.cards import ModelSource
from turbo_lab.cards.shape import read_seed
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.runtime.determinism import fix_cublas_workspace
from turbo_lab.runtime.failures import refused_as
from turbo_lab.runtime.quiet import quiet_libraries
from turbo_lab.runtime.shape import make_pipeline, make_vae
from turbo_lab.untrusted.json_text import parse_json

TORCH_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def load_pipeline(
    source: ModelSource,
    scheduler: str,
    dtype: str,
    device: torch.device,
    vae: Path | None = None,
    offload: str = "none",
) -> StableDiffusionXLPipeline:
    """Load a diffusers folder, or a single ``.safetensors`` file, onto a device.

    ``scheduler`` is the canonical JSON of the class and config to use; ``vae`` a
    folder that takes the place of the checkpoint's own; ``offload`` leaves ``model``
    or ``sequential`` weights on the CPU until they are needed. Raises
    :class:`InputError` for weights that are not an SDXL pipeline.
    """
    path = source.path
    if not path.exists():
        raise MissingFilesError(f"model: {path} does not exist")
    if device.type == "cuda":
        fix_cublas_workspace()
    quiet_libraries()
    # Our own progress is on standard error; two bars a component are not.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    own_vae = None if vae is None else _load_vae(vae, TORCH_DTYPES[dtype], device)
    with refused_as(f"model: {path} cannot be loaded as a StableDiffusionXLPipeline"):
        if read_seed(path) is not None:
            pipeline = make_pipeline(
                path,
                make_scheduler(scheduler),
                dtype=TORCH_DTYPES[dtype],
                device=device,
                vae=own_vae,
            )
        else:
            pipeline = _read_pipeline(source, dtype, own_vae)
    channels, wanted = pipeline.vae.config.latent_channels, pipeline.unet.config.in_channels
    if vae is not None and channels != wanted:
        raise InputError(
            f"vae: {vae} has latents of {channels} channels, the UNet's have {wanted}; take a VAE "
            "of the same family"
        )
    pipeline.scheduler = make_scheduler(scheduler)
    pipeline.set_progress_bar_config(disable=True)
    align_weights(pipeline)
    _place(pipeline, device, offload)
    return pipeline


def _read_pipeline(
    source: ModelSource, dtype: str, vae: AutoencoderKL | AutoencoderTiny | None
) -> StableDiffusionXLPipeline:
    """Read a pipeline from its files; ``vae`` takes the place of the checkpoint's own."""
    options: dict[str, Any] = {
        "dtype": TORCH_DTYPES[dtype],
        "local_files_only": True,
        "add_watermarker": False,
    }
    if source.path.is_file():
        options |= {part: _load_part(source, part, dtype) for part in source.parts}
    if vae is not None:
        options["vae"] = vae
    if source.path.is_file():
        return StableDiffusionXLPipeline.from_single_file(
            str(source.path), config=str(source.config), **options
        )
    return StableDiffusionXLPipeline.from_pretrained(
        str(source.path), use_safetensors=True, **options
    )


def _place(pipeline: StableDiffusionXLPipeline, device: torch.device, offload: str) -> None:
    """Move a pipeline to a device, or let its weights follow when they are needed."""
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        # float16 runs on a CPU although diffusers warns about it once per component.
        pipeline.to(device, silence_dtype_warnings=True)


def _load_part(source: ModelSource, part: str, dtype: str) -> Any:
    """Load a part that a single file lacks from the folder of its base."""
    kinds = {
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    return kinds[part].from_pretrained(
        str(source.config),
        subfolder=part,
        dtype=TORCH_DTYPES[dtype],
        use_safetensors=True,
        local_files_only=True,
    )


def _load_vae(
    folder: Path, dtype: torch.dtype, device: torch.device
) -> AutoencoderKL | AutoencoderTiny:
    if read_seed(folder) is not None:
        return make_vae(folder, dtype, device)
    name = parse_json((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    kind = AutoencoderTiny if name == AutoencoderTiny.__name__ else AutoencoderKL
    with refused_as(f"vae: {folder} cannot be loaded as an {kind.__name__}"):
        return kind.from_pretrained(
            str(folder), dtype=dtype, use_safetensors=True, local_files_only=True
        )


def align_weights(pipeline: StableDiffusionXLPipeline) -> None:
    """Put every weight at a multiple of 64 bytes, where torch itself allocates.

    The length of a safetensors file's header decides where its mapped weights begin, and
    products with few rows add up in another order off such a boundary: the same weights,
    saved again, gave other bits.
    """
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        for weight in part.parameters():
            if weight.data_ptr() % 64:
                weight.data = weight.data.clone()


def make_scheduler(scheduler: str) -> Any:
    """Make a new scheduler from the canonical JSON of a recipe.

    Each run needs its own, because a scheduler holds the state of its last run.
    """
    config = parse_json(scheduler)
    name = config["_class_name"]
    kind = getattr(diffusers, name, None)
    if kind is None or not name.endswith("Scheduler"):
        raise InputError(
            f"scheduler={name}: is not a scheduler of diffusers {diffusers.__version__}"
        )
    return kind.from_config({k: v for k, v in config.items() if k != "_class_name"})


def cut_prompts(pipeline: StableDiffusionXLPipeline, prompts: Iterable[str]) -> dict[str, str]:
    """Return the prompts longer than a tokenizer's window, with the text that is cut off.

    The window counts the start and end tokens: 77 on SDXL leave 75.
    """
    cut = {}
    for prompt in dict.fromkeys(prompts):
        for tokenizer in (pipeline.tokenizer, pipeline.tokenizer_2):
            ids = tokenizer(prompt, truncation=False, verbose=False).input_ids
            window = tokenizer.model_max_length
            if len(ids) > window:
                cut[prompt] = tokenizer.decode(ids[window - 1 : -1]).strip()
    return cut
