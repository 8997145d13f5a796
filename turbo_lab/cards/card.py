"""Cards as data: the YAML files of ``conf/model`` and ``conf/adapters``, validated.

Owns the cards' schema. Hydra composes the same files; here they are also read
plainly, so that ``models list`` needs no Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from turbo_lab.errors import InputError, unknown_name

SOURCES = ("packaged", "hub", "local")
_PACKAGE = Path(__file__).parent.parent
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Recommended:
    """The settings a model is meant to run with; defaults of the config keys."""

    num_inference_steps: int
    """Denoising steps."""
    guidance_scale: float
    """Classifier-free guidance; 0 for none."""
    resolution: str
    """``WIDTHxHEIGHT``, or one number for a square."""


@dataclass(frozen=True)
class ModelCard:
    """Facts about a model that are known before its files are opened."""

    name: str
    """The name, as in ``model=NAME``."""
    title: str
    """One line for people."""
    source: str
    """``packaged``, ``hub`` (the local Hugging Face cache) or ``local``."""
    repository: str | None
    """Hub repository; ``None`` where the source is another."""
    revision: str | None
    """40 hex digits; ``None``: left open, the first load pins it."""
    path: str | None
    """The user's own folder or file in place of the source; ``None``: the source."""
    variant: str | None
    """Weights' file variant such as ``fp16``; ``None``: plain names, else the only variant."""
    license: str
    """The licence that the model's own card states; ``unknown`` for the user's files."""
    license_source: str
    """Where the licence was read."""
    scheduler: Mapping[str, Any] | None
    """Entries that replace the checkpoint's (``_class_name`` too); ``None`` keeps it."""
    recommended: Recommended
    """Settings to start from."""
    supported_steps: str
    """Step counts that make sense, as text for messages."""
    base: str | None
    """Card whose weights these are an addition to; ``None``: a model of its own."""
    adapter: str | None
    """Adapter card that belongs to the pipeline (LCM-LoRA); ``None``: none."""


@dataclass(frozen=True)
class AdapterCard:
    """Facts about a LoRA that are known before its file is opened."""

    name: str
    """The name, as in ``lora=NAME@WEIGHT``."""
    title: str
    """One line for people."""
    source: str
    """``packaged`` or ``hub``."""
    repository: str | None
    """Hub repository; ``None`` where packaged."""
    revision: str | None
    """40 hex digits; ``None``: left open, the first load pins it."""
    file: str
    """Name of its safetensors file."""
    base: str
    """Card of the model it was trained on."""
    license: str
    """The licence that the adapter's own card states."""
    license_source: str
    """Where the licence was read."""


def conf_dir() -> Path:
    """Return the Hydra config folder: in the installed package, or next to it in a checkout."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parent / "conf"


def model_names() -> list[str]:
    """Return the names of all model cards."""
    return _names("model")


def adapter_names() -> list[str]:
    """Return the names of all adapter cards."""
    return _names("adapters")


def model_card(name: str) -> ModelCard:
    """Return a card by name; raises ``InputError`` with the nearest name if it is unknown."""
    return model_card_from_config(_read("model", "model", name))


def adapter_card(name: str) -> AdapterCard:
    """Return an adapter's card by name; raises as :func:`model_card`."""
    values = _read("adapters", "lora", name)
    where = f"adapters/{name}"
    _check_keys(where, values, AdapterCard.__dataclass_fields__)
    _check_source(where, values)
    return AdapterCard(**values)


def model_card_from_config(values: Mapping[str, Any]) -> ModelCard:
    """Validate a ``model`` node, composed by Hydra or read from its YAML."""
    where = f"model={values.get('name')}"
    _check_keys(where, values, ModelCard.__dataclass_fields__)
    _check_source(where, values)
    recommended = values["recommended"]
    _check_keys(f"{where}: recommended", recommended, Recommended.__dataclass_fields__)
    scheduler = values["scheduler"]
    if scheduler is not None and not isinstance(scheduler, Mapping):
        raise InputError(f"model.scheduler={scheduler}: must be a mapping, or null")
    path = values["path"]
    if values["source"] == "local" and path is None:
        raise InputError(
            f"{where}: needs model.path=FOLDER_OR_FILE (a diffusers folder with model_index.json, "
            "or one .safetensors file)"
        )
    return ModelCard(
        **{
            **values,
            "path": None if path is None else str(path),
            "scheduler": None if scheduler is None else dict(scheduler),
            "recommended": Recommended(
                num_inference_steps=recommended["num_inference_steps"],
                guidance_scale=float(recommended["guidance_scale"]),
                resolution=str(recommended["resolution"]),
            ),
        }
    )


def _names(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def _read(group: str, field: str, name: str) -> dict[str, Any]:
    if name not in _names(group):
        raise unknown_name(field, name, _names(group))
    text = (conf_dir() / group / f"{name}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert isinstance(values, dict), f"{group}/{name}.yaml is not a mapping"
    return values


def _check_keys(where: str, values: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Refuse a card that lacks a field or holds an unknown one."""
    for key in values:
        if key not in fields:
            raise unknown_name(f"{where}: key", str(key), fields)
    if missing := [key for key in fields if key not in values]:
        raise InputError(f"{where}: lacks {', '.join(missing)}; every field must be there")


def _check_source(where: str, values: Mapping[str, Any]) -> None:
    source, revision = values["source"], values["revision"]
    if source not in SOURCES:
        raise unknown_name(f"{where}: source", str(source), SOURCES)
    if source == "hub" and not values["repository"]:
        raise InputError(f"{where}: source=hub needs a repository, as OWNER/NAME")
    if revision is not None and not _REVISION.fullmatch(str(revision)):
        raise InputError(
            f"{where}: revision={revision}: must be the 40 hex digits of a commit, or null; "
            "names of branches move"
        )
