"""A valid request, as config values."""

from __future__ import annotations

from typing import Any

GOOD: dict[str, Any] = {
    "model": {"name": "nano-turbo", "path": None},
    "prompts": {"name": "scenes-heldout"},
    "num_inference_steps": 1,
    "guidance_scale": 0,
    "resolution": 64,
    "batch_size": 16,
    "lora": "none",
    "seed": 0,
    "seed_mode": "increment",
    "negative_prompt": None,
    "scheduler": None,
    "dtype": "float32",
    "device": "cpu",
    "pipeline": {"name": "stock", "cpu": {}, "cuda": {}},
    "num_images": None,
}
