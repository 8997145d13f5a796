"""The infotext of an image that turbo-lab drew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from turbo_lab import __version__
from turbo_lab.infotext.prompt import escaped, network_name
from turbo_lab.infotext.samplers import sampler_of
from turbo_lab.infotext.text import Infotext
from turbo_lab.request.recipe import Recipe
from turbo_lab.untrusted.json_text import parse_json

# SDXL takes the second last layer of its text encoders; others count layers from the end.
_CLIP_SKIP = "2"
_MODEL_HASH, _LORA_HASH = 10, 12  # characters, as A1111 shows them


@dataclass(frozen=True)
class DrawnImage:
    """One image, as its infotext describes it."""

    recipe: Recipe
    """Recipe that it was drawn by."""
    prompt: str
    """The prompt."""
    negative_prompt: str | None
    """The negative prompt; ``None`` if it has no effect."""
    seed: int
    """The seed."""
    names: Mapping[str, str]
    """Names of its model, LoRAs and VAE, by digest."""
    hashes: Mapping[str, str]
    """Hashes that other programs know weights by, by digest: sha256 of a checkpoint's file, and of
    a LoRA's tensors; only what is known."""
    source: str | None = None
    """Name of its source image; ``None``: text to image."""

    def name(self, digest: str) -> str:
        """Return the name of weights without folder and ending, else part of their digest."""
        name = self.names.get(digest, digest[:12])
        return PurePath(name).name.removesuffix(".safetensors")


def infotext_of(image: DrawnImage) -> Infotext:
    """Return the infotext of an image."""
    recipe = image.recipe
    loras = [(network_name(image.name(key)), key, weight) for key, weight in recipe.lora]
    tags = (f"<lora:{name}:{weight:g}>" for name, _, weight in loras)
    hashes = (
        f"{name}: {image.hashes[key][:_LORA_HASH]}" for name, key, _ in loras if key in image.hashes
    )
    return Infotext(
        prompt=" ".join([escaped(image.prompt), *tags]),
        negative_prompt=escaped(image.negative_prompt or ""),
        settings=_settings(image, ", ".join(hashes)),
    )


def _settings(image: DrawnImage, lora_hashes: str) -> dict[str, str]:
    """Return the settings in A1111's order; what does not apply is left out."""
    recipe = image.recipe
    sampler, schedule = sampler_of(parse_json(recipe.scheduler))
    is_changed = recipe.strength is not None
    settings = {
        "Steps": str(recipe.num_inference_steps),
        "Sampler": sampler,
        "Schedule type": schedule,
        # There, 1 turns guidance off; with 0, the prompt would have no effect.
        "CFG scale": f"{recipe.guidance_scale if recipe.has_guidance else 1:g}",
        "Seed": str(image.seed),
        "Size": f"{recipe.width}x{recipe.height}",
        "Model hash": image.hashes.get(recipe.model, "")[:_MODEL_HASH],
        "Model": image.name(recipe.model),
        "Denoising strength": f"{recipe.strength:g}" if is_changed else None,
        "Clip skip": _CLIP_SKIP,
        "RNG": "CPU",
        "Lora hashes": lora_hashes,
        "Source image": image.source,
        "Version": f"turbo-lab {__version__}",
    }
    return {name: value for name, value in settings.items() if value}
