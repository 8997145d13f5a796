"""Cells that differ in the ways that matter to a plan, and an empty store."""

from __future__ import annotations

import dataclasses

from tests.request.requests import GOOD
from turbo_lab.identity import canonical_json
from turbo_lab.request.recipe import Batch, Cell, Recipe, image_order, split_layouts
from turbo_lab.request.request import Request

TURBO = canonical_json(
    {
        "_class_name": "EulerAncestralDiscreteScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "timestep_spacing": "trailing",
    }
)
UNKNOWN = canonical_json({"_class_name": "HeunDiscreteScheduler"})
PROMPTS = ("a", "b", "c", "d")


def make_cell(
    steps: int = 1,
    guidance: float = 0.0,
    *,
    scheduler: str = TURBO,
    model: str = "m",
    lora: tuple[tuple[str, float], ...] = (),
    width: int = 64,
    num_images: int = 4,
    batch_size: int = 4,
) -> Cell:
    request = dataclasses.replace(
        Request.from_config(GOOD),
        model=model,
        num_inference_steps=steps,
        guidance_scale=guidance,
        width=width,
        batch_size=batch_size,
        num_images=num_images,
    )
    recipe = Recipe(
        model=model,
        scheduler=scheduler,
        lora=lora,
        num_inference_steps=steps,
        guidance_scale=guidance if guidance > 1 else 0.0,
        negative_prompt=None,
        width=width,
        height=64,
        dtype="float32",
        variant=(),
    )
    layouts = split_layouts(*image_order(PROMPTS, num_images, 0, "increment"), batch_size)
    return Cell(
        request=request,
        recipe=recipe,
        batches=tuple(Batch(recipe, layout) for layout in layouts),
        negative_prompt=None,
        axes=(("num_inference_steps", steps), ("guidance_scale", guidance)),
    )


def nothing(batch: Batch) -> bool:
    """Answer for a store that is empty."""
    return False
