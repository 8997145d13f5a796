"""Names and texts as MLflow accepts and shows them.

Owns the limits of MLflow's fields, and the names of runs and models. MLflow's page cuts the name
of a run at about 24 characters, so the beginning of a name already says which cell it is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from turbo_lab.identity import digest

PREFIX = "turbo_lab."
"""Beginning of our own tags."""
# MLflow cuts longer parameters silently.
MAX_PARAMETER = 6000
# Older servers refuse longer tags.
MAX_TAG = 5000
# Room is left for a suffix: MLflow refuses keys above 250 characters.
MAX_KEY = 230
MAX_RUN_NAME = 250
MAX_DATASET_NAME = 500
SHOWN_NAME = 24
"""Number of characters of a run's name that MLflow's page shows at least."""
_REFUSED_IN_MODEL_NAME = re.compile(r"[/:%\"']")
_WORDS = {
    "guidance_scale": "cfg {}",
    "resolution": "{}",
    "model": "{}",
    "scheduler": "{}",
    "dtype": "{}",
    "vae": "{}",
    "lora": "{}",
    "seed": "seed {}",
    "batch_size": "batch {}",
    "num_images": "{} images",
    "strength": "strength {}",
    "negative_prompt": "not {}",
}
_NOUNS = {"lora": "LoRA", "vae": "VAE", "negative_prompt": "negative prompt"}
# The axes that most sweeps have come first, in any order of the command line.
_FIRST = ("num_inference_steps", "guidance_scale")


def cell_name(axes: Mapping[str, object]) -> str:
    """Return the name of a cell by its values, such as ``1 step, cfg 0``.

    A name that is longer than MLflow's page shows, or that leaves something out, ends with six
    digits of its digest within that length, so that names of different cells differ.
    """
    ordered = [*(key for key in _FIRST if key in axes), *(key for key in axes if key not in _FIRST)]
    name = ", ".join(axis_text(key, axes[key]) for key in ordered)
    is_whole = not any("/" in str(value) for value in axes.values())
    if len(name) <= SHOWN_NAME and is_whole:
        return name
    return f"{name[: SHOWN_NAME - 8]}\N{HORIZONTAL ELLIPSIS} {digest(to_text(axes))[:6]}"


def axis_text(key: str, value: object) -> str:
    """Return one value of an axis in a few words."""
    text = short_value(value)
    if key == "num_inference_steps":
        return f"{text} step" if text == "1" else f"{text} steps"
    if value is None or text == "none":
        return f"no {_NOUNS.get(key, key)}"
    return _WORDS[key].format(text) if key in _WORDS else f"{key}={text}"


def short_value(value: object) -> str:
    """Return a value without folders, a trailing ``.0``, and what all schedulers are called."""
    text = str(value).rpartition("/")[2]
    return re.sub(r"\.0$|(Discrete)?Scheduler$", "", text)


def to_text(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as text, by key."""
    return {key: str(value) for key, value in values.items()}


def model_name(words: Iterable[str]) -> str:
    """Return the name of a model; MLflow refuses full stops, slashes, colons and quotes in it."""
    name = ", ".join(words).replace(".", "\N{MIDDLE DOT}")
    return shortened(_REFUSED_IN_MODEL_NAME.sub("_", name), MAX_RUN_NAME)


def parameter_text(value: object) -> str:
    """Return a parameter as MLflow can store it; an ellipsis ends a text that was cut."""
    return cut("none" if value is None else str(value), MAX_PARAMETER)


def safe_key(name: str) -> str:
    """Return the name of a metric, parameter or tag as MLflow accepts it.

    MLflow accepts letters, digits, ``_ - . : /`` and spaces, in a normalised relative path. In
    any other name, ``_`` replaces the rest and eight digits of the digest follow, so that distinct
    names stay distinct and a name is the same each time.
    """
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    key = "/".join(part for part in parts if part not in ("", ".", ".."))
    if key == name == posixpath.normpath(name) and len(name) <= MAX_KEY:
        return name
    return f"{key[: MAX_KEY - 9]}-{digest(name)[:8]}"


def shortened(name: str, limit: int) -> str:
    """Return a name of at most ``limit`` characters; distinct names stay distinct."""
    return name if len(name) <= limit else f"{name[: limit - 9]}-{digest(name)[:8]}"


def tags(values: Mapping[str, object]) -> dict[str, str]:
    """Return our own tags under safe names, each cut to MLflow's length."""
    return {safe_key(PREFIX + name): cut(str(value), MAX_TAG) for name, value in values.items()}


def cut(text: str, limit: int) -> str:
    """Return a text that any database takes; an ellipsis ends one that was cut."""
    text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    return text if len(text) <= limit else text[: limit - 1] + "…"
