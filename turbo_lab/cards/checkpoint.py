"""Identification of a weight file or a model folder, from its header and its configs.

Owns the list of files that people pass for an SDXL checkpoint: other families, refiners,
inpainting models, LoRAs, single parts. Refuses each of them by name, before torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from turbo_lab.errors import InputError

Shapes = Mapping[str, tuple[int, ...]]

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
"""Parts of an SDXL pipeline that have weights, in diffusers' names."""
COMPONENTS = ("scheduler", *PARTS, "tokenizer", "tokenizer_2")
"""Components of ``model_index.json`` without which an SDXL pipeline draws nothing."""
# Prefixes of the parts of a lone checkpoint, in the names of SDXL's original code.
_ORIGINAL = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "conditioner.embedders.0.transformer.",
    "text_encoder_2": "conditioner.embedders.1.model.",
}
# Beginnings of names, in any file of the kind.
_LORA_MARKS = (".lora_A.", ".lora_down.", ".lora.down.", "_lora.down.", ".hada_w1_", ".lokr_w1")
_OTHERS = (
    ("double_blocks.", "Flux, a flow model"),
    ("joint_blocks.", "Stable Diffusion 3, a flow model"),
    ("context_embedder.", "a flow model in diffusers' names (Stable Diffusion 3 or Flux)"),
    ("cap_embedder.", "a flow model (Lumina)"),
    ("cond_stage_model.transformer.", "Stable Diffusion 1.x"),
    ("cond_stage_model.model.", "Stable Diffusion 2.x"),
    ("control_model.", "a ControlNet"),
    ("controlnet_cond_embedding.", "a ControlNet"),
)
# SDXL's base model has another encoder at this place, and this one at the next.
_REFINER_TEXT_ENCODER = "conditioner.embedders.0.model."
_PIPELINES = ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline")
_OTHER_PIPELINES = {
    "StableDiffusionPipeline": "Stable Diffusion 1.x or 2.x",
    "StableDiffusionInpaintPipeline": "an inpainting model of Stable Diffusion 1.x or 2.x",
    "StableDiffusionXLInpaintPipeline": "an inpainting model",
    "StableDiffusion3Pipeline": "Stable Diffusion 3, a flow model",
    "FluxPipeline": "Flux, a flow model",
    "LatentConsistencyModelPipeline": "an LCM of Stable Diffusion 1.x",
}
_NEEDED = "turbo-lab runs SDXL-family text-to-image models"
_TEXT_TO_IMAGE_CHANNELS = 4
# The refiner's pooled text and five size embeddings; the base has six, and a projection.
_REFINER_WIDTH = 2560


@dataclass(frozen=True)
class FileContents:
    """Contents of a weight file of the SDXL family."""

    layout: Literal["original", "diffusers"]
    """Naming scheme of the tensors: SDXL's original code, or diffusers."""
    parts: tuple[str, ...]
    """The :data:`PARTS` that the file has."""
    has_time_cond: bool
    """``True`` if the UNet takes guidance as an embedding (a full LCM)."""
    is_v_prediction: bool
    """``True`` if the file is marked as trained to predict v."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts that must come from another model."""
        return tuple(part for part in PARTS if part not in self.parts)


def identify(shapes: Shapes, where: str) -> FileContents:
    """Return which parts of an SDXL model a safetensors file contains.

    ``where`` names the file, for messages. Raises :class:`InputError` that says what
    the file is, for anything else.
    """
    if kind := _foreign_kind(shapes):
        raise InputError(f"{where}: is {kind}")
    original = tuple(part for part, start in _ORIGINAL.items() if _has(shapes, start))
    is_diffusers = "conv_in.weight" in shapes and _has(shapes, "down_blocks.")
    if "unet" not in original and not is_diffusers:
        first = ", ".join(sorted(shapes)[:3])
        raise InputError(f"{where}: holds no UNet that turbo-lab knows (it has {first}); {_NEEDED}")
    start, conv_in, added, cond = (
        (_ORIGINAL["unet"], "input_blocks.0.0.weight", "label_emb.0.0.weight", "time_embed.cond")
        if original
        else ("", "conv_in.weight", "add_embedding.linear_1.weight", "time_embedding.cond")
    )
    _check_unet(
        channels=_dimension(shapes.get(start + conv_in)),
        added_width=_dimension(shapes.get(start + added)),
        text_width=next((s[1] for k, s in shapes.items() if k.endswith("attn2.to_k.weight")), None),
        where=where,
    )
    if "edm_mean" in shapes:
        raise InputError(f"{where}: is an EDM model (Playground v2.5); {_NEEDED}")
    return FileContents(
        layout="original" if original else "diffusers",
        parts=original or ("unet",),
        has_time_cond=_has(shapes, start + cond),
        is_v_prediction="v_pred" in shapes,
    )


def check_folder(index: Mapping[str, Any], unet: Mapping[str, Any] | None, where: str) -> None:
    """Raise :class:`InputError` that says what a diffusers folder is, unless it is SDXL.

    ``index``: its ``model_index.json``. ``unet``: the config of its UNet; ``None`` if it has none.
    """
    name = index.get("_class_name")
    missing = missing_components(index)
    if name == "StableDiffusionXLImg2ImgPipeline" and "text_encoder" in missing:
        raise InputError(f"{where}: is SDXL's refiner (one text encoder); {_NEEDED}")
    if unet is not None and name in (*_PIPELINES, "StableDiffusionXLInpaintPipeline"):
        _check_unet(
            channels=unet.get("in_channels", _TEXT_TO_IMAGE_CHANNELS),
            added_width=1 if unet.get("addition_embed_type") == "text_time" else None,
            text_width=unet.get("cross_attention_dim"),
            where=where,
        )
    elif name not in _PIPELINES:
        kind = _OTHER_PIPELINES.get(str(name)) or f"a {str(name)[:80]!a} of diffusers"
        raise InputError(f"{where}: is {kind}; {_NEEDED}")


def missing_components(index: Mapping[str, object]) -> tuple[str, ...]:
    """Return the :data:`COMPONENTS` that a ``model_index.json`` leaves out or sets to null."""
    found = {
        name
        for name, about in index.items()
        if isinstance(about, list) and about and about[0] is not None
    }
    return tuple(name for name in COMPONENTS if name not in found)


def parts_missing(where: str, missing: Sequence[str]) -> InputError:
    """Return the error for a model that lacks parts which nothing else gives."""
    vae = " (or vae= for the VAE)" if "vae" in missing else ""
    return InputError(
        f"{where}: has no {', '.join(missing)}; name the model that they come from: "
        f"model.base=sdxl-base, or model.base=FOLDER{vae}"
    )


def _foreign_kind(shapes: Shapes) -> str | None:
    """Return the kind of a file that is not an SDXL checkpoint; ``None`` if it may be one."""
    if any(mark in name for name in shapes for mark in _LORA_MARKS):
        return "a LoRA, not a model; pass it as lora=PATH"
    for start, kind in _OTHERS:
        if any(name.startswith(start) or f".{start}" in name for name in shapes):
            return f"{kind}; {_NEEDED}"
    if _has(shapes, _REFINER_TEXT_ENCODER) and not _has(shapes, _ORIGINAL["text_encoder_2"]):
        return f"SDXL's refiner (one text encoder); {_NEEDED}"
    if set(shapes) <= {"clip_l", "clip_g", "emb_params"}:
        return f"a textual inversion embedding; {_NEEDED}"
    has_unet = _has(shapes, _ORIGINAL["unet"]) or "conv_in.weight" in shapes
    if not has_unet and any(_has(shapes, s) for s in ("decoder.", _ORIGINAL["vae"] + "decoder.")):
        return "a VAE, not a model; pass its diffusers folder as vae=FOLDER"
    if not has_unet and _has(shapes, "text_model."):
        return f"a text encoder, not a model; {_NEEDED}"
    if _has(shapes, "input_blocks."):
        return (
            "a UNet without the prefix model.diffusion_model. in its names, which diffusers does "
            "not load; add the prefix, or convert it to diffusers' names"
        )
    return None


def _check_unet(channels: Any, added_width: int | None, text_width: Any, where: str) -> None:
    """Refuse UNets of other tasks and families.

    ``added_width``: width of the pooled text and size embedding; ``None`` if there is none.
    ``text_width``: width of the text embedding.
    """
    kind = {9: "an inpainting model", 8: "an image-editing model (InstructPix2Pix)"}
    if channels != _TEXT_TO_IMAGE_CHANNELS:
        number = channels if isinstance(channels, int) else 0
        what = kind.get(number, "a model of another kind")
        raise InputError(f"{where}: is {what} (its UNet takes {channels} channels); {_NEEDED}")
    if added_width is None:
        versions = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x"}
        width = text_width if isinstance(text_width, int) else 0
        what = versions.get(width, "Stable Diffusion 1.x, 2.x or a relative")
        raise InputError(f"{where}: is {what} (its UNet takes no size embedding); {_NEEDED}")
    if added_width == _REFINER_WIDTH:
        raise InputError(f"{where}: is SDXL's refiner; {_NEEDED}")


def _dimension(shape: tuple[int, ...] | None) -> int | None:
    """Return the second dimension, of the inputs; ``None`` if there is no such tensor."""
    return shape[1] if shape is not None and len(shape) > 1 else None


def _has(shapes: Shapes, start: str) -> bool:
    return any(name.startswith(start) for name in shapes)
