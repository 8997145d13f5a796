"""Config keys that draw a stored cell again, from its settings and its provenance.

Owns the way back from a cell's record to keys: the user's own weights are named by the path that
the record has, and a single prompt by its text. Refuses nothing: whether the keys still mean the
same cell is for the caller to check.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import fields

from turbo_lab.cards import model_names
from turbo_lab.documents.sweep import CellResult
from turbo_lab.request.pipeline import PipelineKeys

# Values that Hydra reads as the same text without quotes.
_PLAIN = re.compile(r"[A-Za-z0-9_./@+:-]+")
_PLAIN_KEYS = (
    "num_inference_steps",
    "guidance_scale",
    "resolution",
    "batch_size",
    "lora",
    "seed",
    "seed_mode",
    "negative_prompt",
    "scheduler",
    "dtype",
    "vae",
    "num_images",
    "image",
    "strength",
)
# Defaults of conf/config.yaml that no model changes.
_DEFAULTS: Mapping[str, object] = {
    "batch_size": 16,
    "lora": "none",
    "seed_mode": "increment",
    "dtype": "float32",
    "pipeline": "stock",
}
_PROMPT_SET = "prompt"
"""Name of the set that ``prompt=TEXT`` makes."""


def recorded_keys(cell: CellResult) -> dict[str, object]:
    """Return the settings of a cell by config key, keys of its model and pipeline included.

    A value of ``None`` is the default. ``prompts`` is the name of the set, or ``prompt`` its only
    text; the file of the user's own set is not recorded.
    """
    values = cell.parameters.by_key()
    found: dict[str, object] = {**_model(cell), **_prompts(cell)}
    found["pipeline"] = values.get("pipeline") or "stock"
    found |= {key: values.get(key) for key in _PLAIN_KEYS}
    return found | {key.name: values[key.name] for key in fields(PipelineKeys)}


def drawing_words(cell: CellResult) -> list[str]:
    """Return the words for ``turbo-lab generate`` that set everything but prompt and seed.

    Settings at their defaults are left out; words are quoted for a shell.
    """
    defaults = {**_DEFAULTS, **{key.name: key.default for key in fields(PipelineKeys)}}
    left_out = {"prompts", "prompt", "seed", "seed_mode", "num_images", "batch_size"}
    words = []
    for key, value in recorded_keys(cell).items():
        default = defaults.get(key)
        if key not in left_out and value is not None and value != default:
            words.append(shlex.quote(f"{key}={hydra_text(value)}"))
    return words


def hydra_text(value: object) -> str:
    """Return a value as Hydra reads it back: quoted if it is a text with special characters."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).removesuffix(".0") if isinstance(value, float) else str(value)
    if not isinstance(value, str) or _PLAIN.fullmatch(text):
        return text
    from turbo_lab.config import quoted  # imports Hydra

    return quoted(text)


def _model(cell: CellResult) -> dict[str, object]:
    """Return the keys that name the model: its card, or the path of the user's own weights."""
    origin = cell.provenance.models.get(cell.model)
    if origin is None or origin.path is None or cell.model in model_names():
        return {"model": cell.model}
    found: dict[str, object] = {"model": "local", "model.path": origin.path}
    own = {"model.base": origin.base, "model.variant": origin.variant}
    return found | {key: value for key, value in own.items() if value is not None}


def _prompts(cell: CellResult) -> dict[str, object]:
    name = cell.parameters.prompts
    if name == _PROMPT_SET and cell.images:
        return {"prompt": cell.images[0].prompt}
    return {"prompts": name}
