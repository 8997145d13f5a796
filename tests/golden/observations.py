"""Small made-up observations: stages drawn from a seed, and what a fault does to them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tests.recipes import RECIPE
from turbo_lab.documents.golden import Margin
from turbo_lab.environment import Fingerprint
from turbo_lab.golden.document import Accepted, Golden, GoldenContent
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.stages import StageValue, mark

KEYS: dict[str, Any] = {
    "device_class": "cpu x86-64",
    "device_model": "a",
    "isa": "avx2",
    "torch": "2.13",
    "diffusers": "0.42",
    "transformers": "5.0",
    "tokenizers": "0.22",
    "peft": "0.21",
    "cuda": "none",
    "cudnn": "absent",
    "dtype": "recipe",
    "num_threads": 2,
    "sdpa_backend": "flash,math",
    "memory_format": "contiguous",
    "compile": "none",
    "ATEN_CPU_CAPABILITY": "unset",
    "ONEDNN_MAX_CPU_ISA": "unset",
    "MKL_CBWR": "unset",
}
THRESHOLDS = {
    "T1": {
        "latents_max_abs": Margin(1e-3, 1e-4, 8),
        "latents_relative_l2": Margin(1e-3, 1e-4, 8),
        "vae_relative_l2": Margin(1e-3, 1e-4, 8),
        "window_density": Margin(0.02, 0.0, 8),
        "stage_relative_l2/latents": Margin(1e-3, 1e-4, 8),
    },
    "T2": {
        "window_density": Margin(0.02, 0.0, 8),
        "tile_ssim_loss": Margin(0.02, 0.0, 8),
        "embedding_distance": Margin(0.01, 0.0, 8),
    },
}


def observation(seed: int = 0, keys: dict[str, Any] | None = None) -> Observation:
    """One image of 32x32 with every kind of stage."""
    generator = np.random.default_rng(seed)
    shapes = {
        "noise": (1, 4, 8, 8),
        "prompt_embeds": (1, 4, 6),
        "pooled_prompt_embeds": (1, 6),
        "unet.0": (1, 4, 8, 8),
        "latents.0": (1, 4, 8, 8),
        "vae": (1, 3, 32, 32),
    }
    stages = [
        StageValue(name, "float32", generator.standard_normal(shape).astype(np.float32))
        for name, shape in shapes.items()
    ]
    pixels = generator.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    stages.append(StageValue("pixels", "uint8", pixels))
    fingerprint = Fingerprint(dict(KEYS if keys is None else keys), {})
    return Observation("cell", tuple(stages), fingerprint)


def changed(seen: Observation, stage: str, by: float, keys: Any = None) -> Observation:
    """The same with ``by`` added to one stage (and to no other: a made-up world)."""
    stages = tuple(
        dataclasses.replace(value, values=(value.values + by).astype(value.values.dtype))
        if value.stage == stage
        else value
        for value in seen.stages
    )
    fingerprint = seen.fingerprint if keys is None else Fingerprint(dict(keys), {})
    return dataclasses.replace(seen, stages=stages, fingerprint=fingerprint)


def recorded(library: GoldenLibrary, seen: Observation, name: str = "case") -> Golden:
    """A golden of an observation, written."""
    keys = dict(seen.fingerprint.keys)
    golden = GoldenContent(
        name=name,
        overrides=("seed=1",),
        cell_id=seen.cell_id,
        recipe=RECIPE,
        prompts=("a key",),
        seeds=(1,),
        fingerprint=seen.fingerprint,
        stages=tuple(mark(value) for value in seen.stages),
        processes=3,
        accepted=(
            Accepted(
                outcome=seen.outcome,
                keys=keys,
                by="me",
                at="2026-01-01T00:00:00+00:00",
                reason="first",
            ),
        ),
        known_bad={},
        parent=None,
        thresholds={},
    )
    kept = ("noise", "latents.0", "unet.0", "pooled_prompt_embeds", "prompt_embeds", "pixels")
    by_stage = {value.stage: value.values for value in seen.stages}
    written = library.write(golden, {s: by_stage[s] for s in kept if s in by_stage})
    library.write_cases(
        (library.cases() if (library.root / "cases.json").exists() else {}) | {name: ("seed=1",)}
    )
    return written
