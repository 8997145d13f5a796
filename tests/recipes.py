"""A recipe for records whose images no test draws."""

from __future__ import annotations

from turbo_lab.request.recipe import Recipe

RECIPE = Recipe(
    model="e" * 64,
    scheduler='{"_class_name":"EulerDiscreteScheduler"}',
    lora=(("a" * 64, 0.5),),
    num_inference_steps=1,
    guidance_scale=0.0,
    negative_prompt=None,
    width=64,
    height=64,
    dtype="float32",
    variant=(("vae", "b" * 64),),
)
