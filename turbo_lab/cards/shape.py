"""Shapes: configurations of models without their weights.

Owns the file that marks a folder as a shape. The weights of a shape are drawn at random when it
is loaded. Latency, memory and energy are those of the real model; its images are noise.
"""

from __future__ import annotations

from pathlib import Path

from turbo_lab.errors import InputError
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import MAX_CONFIG_BYTES, read_regular

SHAPE_FILE = "shape.json"


def read_seed(folder: Path) -> int | None:
    """Return the seed of a shape's weights; ``None`` for a folder with weights."""
    path = folder / SHAPE_FILE
    if not path.is_file():
        return None
    try:
        values = parse_json(read_regular(path, follow_links=True, limit_bytes=MAX_CONFIG_BYTES))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from error
    seed = values.get("seed") if isinstance(values, dict) else None
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"{path}: seed={seed}: must be an integer, at least 0")
    return seed
