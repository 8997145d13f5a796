"""Small sweeps of a tiny model: resolved, and drawn once for all tests of a worker."""

from __future__ import annotations

from pathlib import Path

from tests.cards.checkpoints import TO_Q, lora
from turbo_lab.config import compose
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points

SMALL = {
    "model": "local",
    "resolution": "64",
    "prompts": "scenes-demo",
    "num_inference_steps": "1",
    "guidance_scale": "0",
    "num_images": "2",
    "batch_size": "2",
    "num_threads": "1",
    "metrics": "none",
    "timing": "off",
    "tracking": "none",
}


def small_sweep(model: Path, *words: str) -> ResolvedSweep:
    """Resolve a sweep of a model's folder; ``words`` take the place of the small defaults."""
    given = {word.partition("=")[0] for word in words}
    small = [f"{key}={value}" for key, value in SMALL.items() if key not in given]
    return resolve_points(compose("sweep", [*small, f"model.path={model}", *words]))


def misfit(folder: Path) -> Path:
    """Write a LoRA that is too wide for every tiny model."""
    shapes = {f"unet.{TO_Q}.lora_A.weight": (4, 640), f"unet.{TO_Q}.lora_B.weight": (640, 4)}
    return lora(folder / "wide.safetensors", shapes)


def with_a_failed_cell(model: Path, extractor: Path, root: Path) -> ResolvedSweep:
    """Resolve four points that are two cells: one that can be drawn and one that fails.

    The first is timed and scored.
    """
    return small_sweep(
        model,
        "guidance_scale=0,1",  # both mean no guidance
        f"lora=none,{misfit(root)}",
        "timing=short",
        "metrics=default",
        "metrics.names=clip_score",
        f"metrics.extractor={extractor}",
        f"store={root / 'store'}",
    )
