"""Limits of what is drawn again from a record or an image.

Owns the check that a recipe from a file has values that a sweep could have had. The file may come
from somebody else, and one number in it could take all memory, or draw for ever.
"""

from __future__ import annotations

from collections.abc import Iterable

from turbo_lab.cards import ConfigNode
from turbo_lab.environment import Keys
from turbo_lab.errors import MALFORMED, InputError
from turbo_lab.planning.options import MAX_THREADS
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.request.recipe import Layout, Recipe
from turbo_lab.request.request import (
    DTYPES,
    MAX_BATCH_SIZE,
    MAX_SEED,
    MAX_STEPS,
    parse_resolution,
)
from turbo_lab.request.scheduler import check_scheduler
from turbo_lab.untrusted.json_text import parse_json

_MAX_EDGE = 8192
_DEFAULT_THREADS = 2


def check_drawable(recipe: Recipe, layouts: Iterable[Layout], subject: str) -> None:
    """Raise :class:`InputError` for a recipe or a batch that no sweep could have had.

    ``subject`` names the record or the image, for messages.
    """
    try:
        _check_recipe(recipe)
        for layout in layouts:
            _check_layout(layout)
    except MALFORMED as error:
        raise InputError(f"{subject}: its recipe is damaged ({error}); get the file again") from (
            error
        )
    except InputError as error:
        raise InputError(f"{subject}: its recipe: {error}") from error


def check_size(resolution: str, subject: str) -> None:
    """Raise :class:`InputError` for a size that no sweep could have had."""
    try:
        _check_resolution(resolution)
    except InputError as error:
        raise InputError(f"{subject}: its {error}") from error


def threads_of(keys: Keys | None, subject: str) -> int:
    """Return the number of CPU threads in fingerprint keys, 2 if they are unknown.

    Raises :class:`InputError` for a number that no sweep could have had.
    """
    value = (keys or {}).get("num_threads", _DEFAULT_THREADS)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_THREADS:
        raise InputError(
            f"{subject}: num_threads={value!a}: must be an integer from 1 to {MAX_THREADS}; set "
            "num_threads=NUMBER"
        )
    return value


def _check_recipe(recipe: Recipe) -> None:
    values = ConfigNode(
        {
            "num_inference_steps": recipe.num_inference_steps,
            "guidance_scale": recipe.guidance_scale,
            "strength": recipe.strength,
            "dtype": recipe.dtype,
        }
    )
    values.integer("num_inference_steps", 1, MAX_STEPS)
    values.number("guidance_scale")
    values.choice("dtype", DTYPES)
    if recipe.strength is not None and not 0 < values.number("strength") <= 1:
        raise values.error("strength", "must be above 0 and at most 1")
    for _, weight in recipe.lora:
        ConfigNode({"lora_weight": weight}).number("lora_weight")
    _check_resolution(f"{recipe.width}x{recipe.height}")
    PipelineKeys.from_variant(dict(recipe.variant))
    check_scheduler(parse_json(recipe.scheduler), None, None)


def _check_resolution(resolution: str) -> None:
    if max(parse_resolution(resolution)) > _MAX_EDGE:
        raise InputError(f"resolution={resolution}: must be at most {_MAX_EDGE} pixels a side")


def _check_layout(layout: Layout) -> None:
    rows = len(layout.seeds)
    if not 1 <= rows <= MAX_BATCH_SIZE or len(layout.prompts) != rows:
        raise InputError(
            f"{len(layout.prompts)} prompts and {rows} seeds: must be as many of both, from 1 to "
            f"{MAX_BATCH_SIZE}"
        )
    if layout.sources and len(layout.sources) != rows:
        raise InputError(f"{len(layout.sources)} source images for {rows} rows: must be one each")
    for seed in layout.seeds:
        if not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed={seed}: must be an integer from 0 to {MAX_SEED}")
