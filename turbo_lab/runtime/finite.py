"""Non-finite values: NaN or infinity never becomes a picture.

Owns the check of what the VAE returns, which costs one reduction on the device, and
the search for the first stage and for the weights at fault, which runs only after
the check has failed. Non-finite values spread through every later stage, so
checking the last stage is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from turbo_lab.errors import NonFiniteError

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

    from turbo_lab.request.recipe import Recipe

_PARTS = ("text_encoder", "text_encoder_2", "unet", "vae")


def all_finite(tensor: torch.Tensor) -> torch.Tensor:
    """Return whether every value is finite: a boolean on the tensor's device, not yet read."""
    least, most = torch.aminmax(tensor)  # one pass, and NaN is both
    return torch.isfinite(least) & torch.isfinite(most)


def refuse_non_finite(
    stages: Mapping[str, torch.Tensor], pipeline: StableDiffusionXLPipeline, recipe: Recipe
) -> None:
    """Raise :class:`NonFiniteError` if any stage is not finite.

    ``stages``: tensor by the stage's name, in the order of drawing.
    """
    first = next((name for name, tensor in stages.items() if not all_finite(tensor)), "vae")
    raise NonFiniteError(first, _cause(first, pipeline, recipe))


def _cause(stage: str, pipeline: StableDiffusionXLPipeline, recipe: Recipe) -> str:
    """Return why a stage is not finite, as far as the weights show it, and what to do."""
    weights = _first_bad_weights(pipeline)
    if weights is not None and (recipe.dtype != "float16" or weights[1].isnan().any()):
        return _bad_weights(weights[0])
    if recipe.dtype == "float16":
        vae = "the VAE overflows"
        part = {"encode": vae, "vae": vae, "unet": "the UNet overflows"}
        what = part.get(stage.partition(".")[0], "values overflow")
        other = (
            " or, for the VAE, vae= with one made for float16" if stage in ("encode", "vae") else ""
        )
        return f"{what} in float16; use dtype=bfloat16 or dtype=float32{other}"
    if weights is not None:
        return _bad_weights(weights[0])
    asked = [f"guidance_scale={recipe.guidance_scale:g}"] if recipe.has_guidance else []
    asked += ["the weight of the LoRA"] if recipe.lora else []
    lower = f"lower {' or '.join(asked)}" if asked else "check the weights of the model"
    return f"the weights are finite, but values computed from them overflow; {lower}"


def _bad_weights(name: str) -> str:
    kind = "the LoRA's weights" if ".lora_" in name else "the weights"
    return f"{kind} hold NaN or infinity ({name}); get the file again"


def _first_bad_weights(pipeline: Any) -> tuple[str, torch.Tensor] | None:
    """Return name and values of the first weights that are not finite; ``None``: all are."""
    for part in _PARTS:
        for name, weight in getattr(pipeline, part).named_parameters():
            if weight.is_floating_point() and not all_finite(weight):
                return f"{part}.{name}", weight
    return None
