"""A shape in miniature: a tiny SDXL pipeline's folder without its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from turbo_lab.cards.shape import SHAPE_FILE


def save_tiny_shape(tiny_sdxl: Path, folder: Path, seed: int = 0) -> Path:
    """Copy everything but the weights, and mark the folder as a shape; return it."""
    shutil.copytree(tiny_sdxl, folder, ignore=shutil.ignore_patterns("*.safetensors", "_*"))
    (folder / SHAPE_FILE).write_text(json.dumps({"seed": seed}))
    return folder
