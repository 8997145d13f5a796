"""Cards as data: the YAML files of ``conf/model`` and ``conf/adapters``, validated.

Owns the fields of a card. Hydra composes the same files; this module also reads them
without Hydra, so that ``models list`` starts at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.cards.conf import ConfigNode, choices_of, config_files
from turbo_lab.cards.own_groups import read_choice
from turbo_lab.errors import InputError, unknown_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SOURCES = ("packaged", "hub", "local")
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Recommended:
    """Settings that a model is meant to run with: defaults of the config keys."""

    num_inference_steps: int
    """Number of denoising steps."""
    guidance_scale: float
    """Classifier-free guidance scale; 0 for none."""
    resolution: str
    """Size in pixels: ``WIDTHxHEIGHT``, or one number for a square."""


@dataclass(frozen=True)
class ModelCard:
    """Facts about a model that are known before its files are opened."""

    name: str
    """Name, as in ``model=NAME``."""
    title: str
    """One-line description."""
    source: str
    """``packaged``, ``hub`` (the local Hugging Face cache) or ``local``."""
    repository: str | None
    """Repository on the hub; ``None`` if the source is another."""
    revision: str | None
    """Commit, 40 hex digits; ``None``: the first load pins it."""
    path: str | None
    """User's own folder or file, instead of the source; ``None``: the source."""
    variant: str | None
    """Variant of the weight files, such as ``fp16``, or ``plain``; ``None``: plain names, else the
    only variant."""
    license: str
    """Licence that the model's own card states; ``unknown`` for the user's files."""
    license_source: str
    """Place where the licence is stated."""
    scheduler: Mapping[str, object] | None
    """Entries that replace those of the checkpoint's scheduler config; ``None``: none."""
    recommended: Recommended
    """Settings to start from."""
    supported_steps: str
    """Step counts that give good images, as text for messages."""
    base: str | None
    """Card or folder that provides the parts that these weights lack; ``None``: none."""
    adapter: str | None
    """Adapter that is part of the pipeline, such as an LCM-LoRA; ``None``: none."""
    file: str | None = None
    """File of the repository with a UNet; ``None``: the repository is a diffusers folder."""


@dataclass(frozen=True)
class AdapterCard:
    """Facts about a LoRA that are known before its file is opened."""

    name: str
    """Name, as in ``lora=NAME@WEIGHT``."""
    title: str
    """One-line description."""
    source: str
    """``packaged`` or ``hub``."""
    repository: str | None
    """Repository on the hub; ``None`` if the adapter is packaged."""
    revision: str | None
    """Commit, 40 hex digits; ``None``: the first load pins it."""
    file: str
    """Name of the safetensors file."""
    base: str
    """Card of the model that it was trained on."""
    license: str
    """Licence that the adapter's own card states."""
    license_source: str
    """Place where the licence is stated."""


@dataclass(frozen=True)
class VaeCard:
    """Facts about a VAE that are known before its files are opened."""

    name: str
    """Name, as in ``vae=NAME``."""
    title: str
    """One-line description."""
    source: str
    """``hub``: the local Hugging Face cache."""
    repository: str | None
    """Repository on the hub, a folder that diffusers loads."""
    revision: str | None
    """Commit, 40 hex digits; ``None``: left open."""
    license: str
    """Licence that the VAE's own card states."""
    license_source: str
    """Place where the licence is stated."""


Card = ModelCard | AdapterCard | VaeCard


def model_names() -> list[str]:
    """Return the names of all model cards."""
    return choices_of("model")


def adapter_names() -> list[str]:
    """Return the names of all adapter cards."""
    return choices_of("adapters")


def vae_names() -> list[str]:
    """Return the names of all VAE cards."""
    return choices_of("vaes")


def vae_card(name: str) -> VaeCard:
    """Return a VAE's card by name; raises as :func:`model_card`."""
    card, where = ConfigNode(_read("vaes", "vae", name)), f"vaes/{name}"
    _check_keys(where, card, VaeCard)
    return VaeCard(
        name=card.text("name"),
        title=card.text("title"),
        source=_source(where, card),
        repository=card.optional_text("repository"),
        revision=_revision(where, card),
        license=card.text("license"),
        license_source=card.text("license_source"),
    )


def model_card(name: str) -> ModelCard:
    """Return a card by name; raises ``InputError`` with the nearest name if it is unknown."""
    return model_card_from_config(_read("model", "model", name))


def local_card(path: Path) -> ModelCard:
    """Return the card of a user's own folder or file."""
    return model_card_from_config({**_read("model", "model", "local"), "path": str(path)})


def adapter_card(name: str) -> AdapterCard:
    """Return an adapter's card by name; raises as :func:`model_card`."""
    card, where = ConfigNode(_read("adapters", "lora", name)), f"adapters/{name}"
    _check_keys(where, card, AdapterCard)
    return AdapterCard(
        name=card.text("name"),
        title=card.text("title"),
        source=_source(where, card),
        repository=card.optional_text("repository"),
        revision=_revision(where, card),
        file=card.text("file"),
        base=card.text("base"),
        license=card.text("license"),
        license_source=card.text("license_source"),
    )


def model_card_from_config(values: Mapping[str, object]) -> ModelCard:
    """Validate a ``model`` node, composed by Hydra or read from its YAML."""
    card = ConfigNode(values, "model")
    where = f"model={card.get('name')}"
    _check_keys(where, card, ModelCard)
    source, path = _source(where, card), card.optional_text("path")
    if source == "local" and path is None:
        raise InputError(
            f"{where}: needs model.path=FOLDER_OR_FILE (a diffusers folder with model_index.json, "
            "or one .safetensors file)"
        )
    return ModelCard(
        name=card.text("name"),
        title=card.text("title"),
        source=source,
        repository=card.optional_text("repository"),
        revision=_revision(where, card),
        path=path,
        variant=card.optional_text("variant"),
        license=card.text("license"),
        license_source=card.text("license_source"),
        scheduler=None if card.get("scheduler") is None else card.node("scheduler").values,
        recommended=_recommended(where, card.node("recommended")),
        supported_steps=card.text("supported_steps"),
        base=card.optional_text("base"),
        adapter=card.optional_text("adapter"),
        file=card.optional_text("file") if "file" in card.values else None,
    )


def _recommended(where: str, node: ConfigNode) -> Recommended:
    _check_keys(f"{where}: recommended", node, Recommended)
    return Recommended(
        num_inference_steps=node.integer("num_inference_steps", 1),
        guidance_scale=node.number("guidance_scale"),
        resolution=node.text("resolution"),
    )


def _read(group: str, field: str, name: str) -> Mapping[str, object]:
    files = config_files(group)
    if name not in files:
        raise unknown_name(field, name, files)
    return read_choice(files, name)


def _check_keys(where: str, node: ConfigNode, card: type[DataclassInstance]) -> None:
    """Refuse a node that lacks a field without a default, or has an unknown one."""
    names = [field.name for field in fields(card)]
    for key in node.values:
        if key not in names:
            raise unknown_name(f"{where}: key", str(key), names)
    required = [field.name for field in fields(card) if field.default is MISSING]
    if missing := [name for name in required if name not in node.values]:
        raise InputError(f"{where}: lacks {', '.join(missing)}; every field must be there")


def _source(where: str, card: ConfigNode) -> str:
    source = card.text("source")
    if source not in SOURCES:
        raise unknown_name(f"{where}: source", source, SOURCES)
    if source == "hub" and not card.get("repository"):
        raise InputError(f"{where}: source=hub needs a repository, as OWNER/NAME")
    return source


def _revision(where: str, card: ConfigNode) -> str | None:
    revision = card.optional_text("revision")
    if revision is not None and not _REVISION.fullmatch(revision):
        raise InputError(
            f"{where}: revision={revision}: must be the 40 hex digits of a commit, or null; "
            "names of branches move"
        )
    return revision
