"""Batches and a loaded pipeline of the tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.cards import ModelSource
from turbo_lab.identity import canonical_json
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.runtime.pipeline import load_pipeline

CPU = torch.device("cpu")
EULER_A = "EulerAncestralDiscreteScheduler"
LAYOUT = Layout(("a red apple", "b", "c <&> d"), (1, 2, 3))


def scheduler_json(folder: Path, name: str = EULER_A) -> str:
    """Return the canonical JSON of the model's scheduler under another class."""
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    config = {k: v for k, v in config.items() if not k.startswith("_")}
    return canonical_json({**config, "_class_name": name})


def tiny_pipeline(folder: Path, dtype: str = "float32") -> StableDiffusionXLPipeline:
    """Load the model on the CPU."""
    return load_pipeline(ModelSource(folder), scheduler_json(folder), dtype, CPU)


def tiny_batch(
    folder: Path,
    layout: Layout = LAYOUT,
    guidance: float = 0.0,
    steps: int = 2,
    negative: str | None = None,
    scheduler: str = EULER_A,
    dtype: str = "float32",
) -> Batch:
    """Return a batch at 64x64."""
    digest = None if negative is None else f"digest of {negative}"
    recipe = Recipe(
        "m", scheduler_json(folder, scheduler), (), steps, guidance, digest, 64, 64, dtype, ()
    )
    return Batch(recipe, layout)
