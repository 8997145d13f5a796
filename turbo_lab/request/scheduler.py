"""Scheduler values: which keys, values and step counts diffusers takes, before torch is imported.

Owns the rules that diffusers applies when it makes a scheduler and sets its timesteps, so that
`plan` refuses what would fail later. diffusers drops a key that it does not know with a
warning; here it is refused. Keys are read from the source of the installed diffusers, which is
not imported.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from math import isfinite
from pathlib import Path

from turbo_lab.errors import InputError, unknown_name
from turbo_lab.identity import canonical_json
from turbo_lab.request.request import SCHEDULERS

_CLASS = "_class_name"
_CHOICES = {
    "timestep_spacing": ("leading", "linspace", "trailing"),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace"),
    "prediction_type": ("epsilon", "sample", "v_prediction", "flow_prediction"),
    "final_sigmas_type": ("sigma_min", "zero"),
}
# Each replaces the sigmas, so that two of them cannot hold.
_SIGMAS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
# Schedulers that take their timesteps from as many as they were distilled with.
_DISTILLED = ("LCMScheduler", "TCDScheduler")
_AT_MOST_TRAINED = ("DDIMScheduler", "DDIMParallelScheduler", "DDPMScheduler")
_DISTILLED_STEPS, _TRAINED_STEPS = 50, 1000  # diffusers' defaults
MAX_TRAINED_STEPS = 100_000
"""Largest integer in a scheduler's config."""


def canonical_scheduler(
    config: Mapping[str, object], card_override: Mapping[str, object] | None, name: str | None
) -> str:
    """Return class and config as canonical JSON: the checkpoint's, the card's, then the user's."""
    merged = {**config, **(card_override or {})}
    merged[_CLASS] = name or merged[_CLASS]
    kept = {k: v for k, v in merged.items() if not k.startswith("_") or k == _CLASS}
    return canonical_json(kept)


def check_scheduler(
    config: Mapping[str, object], card_override: Mapping[str, object] | None, name: str | None
) -> tuple[str, ...]:
    """Check what a scheduler is made from; return a note for each key that has no effect on it.

    Raises :class:`InputError` for an unknown class or key, and for a value that no scheduler
    takes. A checkpoint's own config may hold keys of other schedulers, as diffusers writes them.
    """
    override = {k: v for k, v in (card_override or {}).items() if not k.startswith("_")}
    class_name = name or (card_override or {}).get(_CLASS) or config[_CLASS]
    if not isinstance(class_name, str) or (
        class_name not in SCHEDULERS and not _exists(class_name)
    ):
        raise unknown_name("scheduler", str(class_name), SCHEDULERS)
    for key, value in {**config, **override}.items():
        where = "model.scheduler" if key in override else "the model's scheduler_config.json"
        _check_value(f"{where}: {key}={value}", key, value)
    merged = {**config, **override}
    chosen = [key for key in _SIGMAS if merged.get(key)]
    if len(chosen) > 1:
        raise InputError(f"model.scheduler: {' and '.join(chosen)}: set at most one of them")
    return tuple(note for key in override if (note := _unused(class_name, key)) is not None)


@lru_cache
def too_many_steps(scheduler: str, num_inference_steps: int) -> str | None:
    """Return why a scheduler cannot take that many steps; ``None``: it can.

    ``scheduler``: its canonical JSON.
    """
    config = json.loads(scheduler)
    class_name = config[_CLASS]
    key, default = "num_train_timesteps", _TRAINED_STEPS
    if class_name in _DISTILLED:
        key, default = "original_inference_steps", _DISTILLED_STEPS
    elif class_name not in _AT_MOST_TRAINED:
        return None
    most = config.get(key)
    most = most if isinstance(most, int) else default
    if num_inference_steps <= most:
        return None
    return (
        f"num_inference_steps={num_inference_steps}: {class_name} takes at most {most} "
        f"({key}={most}); use fewer steps"
    )


def takes_key(class_name: str, key: str) -> bool:
    """Return whether a scheduler of the installed diffusers has a key in its configuration."""
    return key in _config_keys(class_name)


def _check_value(where: str, key: str, value: object) -> None:
    if value is None:
        return
    valid = _CHOICES.get(key)
    if valid is not None and value not in valid:
        raise InputError(f"{where}: must be one of {', '.join(valid)}")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if key in ("beta_start", "beta_end") and not (is_number and 0 < float(str(value)) < 1):
        raise InputError(f"{where}: must be a number between 0 and 1")
    if key in ("num_train_timesteps", "original_inference_steps", "solver_order") and not (
        isinstance(value, int) and is_number and value >= 1
    ):
        raise InputError(f"{where}: must be an integer, at least 1")
    if isinstance(value, int) and value > MAX_TRAINED_STEPS:  # some hold an array of as many
        raise InputError(f"{where}: must be at most {MAX_TRAINED_STEPS:,}")
    if isinstance(value, float) and not isfinite(value) and not key.startswith("lambda_"):
        raise InputError(f"{where}: must be finite")


def _unused(class_name: str, key: str) -> str | None:
    """Return a note about a key that the class does not take; raises for one that none takes."""
    taken = _config_keys(class_name)
    if key in taken:
        return None
    if any(key in _config_keys(other) for other in SCHEDULERS):
        return f"model.scheduler: {key} has no effect on {class_name}"
    raise unknown_name("model.scheduler key", key, taken)


def _exists(class_name: str) -> bool:
    return class_name.endswith("Scheduler") and bool(_config_keys(class_name))


@lru_cache
def _config_keys(class_name: str) -> frozenset[str]:
    """Return the parameters of a scheduler class of the installed diffusers; empty: no class."""
    for file, text in _sources():
        if f"\nclass {class_name}(" in text:
            tree = ast.parse(text, str(file))
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and node.name == class_name:
                    return _parameters(node)
    return frozenset()


def _parameters(node: ast.ClassDef) -> frozenset[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return frozenset(one.arg for one in item.args.args[1:] + item.args.kwonlyargs)
    return frozenset()


@lru_cache
def _sources() -> tuple[tuple[Path, str], ...]:
    """Return the files of diffusers' schedulers with their text."""
    spec = find_spec("diffusers")
    assert spec is not None and spec.origin is not None, "diffusers is a dependency"
    files = sorted((Path(spec.origin).parent / "schedulers").glob("scheduling_*.py"))
    return tuple((file, file.read_text(encoding="utf-8")) for file in files)
