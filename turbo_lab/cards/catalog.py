"""The models that can be run: a table, and all that is known about one.

Owns the ``models list`` and ``models show`` documents. The weights that ship
lie in ``data/weights``; what they are made of is in :mod:`turbo_lab.cards.packaged`.
No torch: nothing is loaded to show it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from turbo_lab.cards import (
    WEIGHTS,
    AdapterCard,
    ModelCard,
    adapter_card,
    adapter_names,
    locate,
    locate_adapter,
    model_card,
    model_names,
    read_packaged_card,
)
from turbo_lab.cards.hub import cached_snapshot
from turbo_lab.cards.packaged import assemble, packaged_names
from turbo_lab.errors import InputError, MissingFilesError, unknown_name
from turbo_lab.identity import DigestCache, digest

# What ships beside pipelines and adapters, by the kind on its card.
_PARTS = {
    "judge": "CLIP that scores, retrieves and measures distances: metrics.extractor",
    "vae": "The VAE of the nano pipelines",
    "text": "Tokenizers and text encoders of the nano pipelines",
}
# Facts that training wrote into card.json; None for models that are not ours.
_TRAINED = ("trained_on", "parameters", "figures")


def list_models() -> list[dict[str, Any]]:
    """Return one row per card: name, kind, title, source, license, status. Hashes nothing.

    ``status``: ``ready``, ``missing``, or ``needs a path`` for the user's own.
    """
    cards: list[tuple[str, ModelCard | AdapterCard]] = [
        ("pipeline", model_card(name)) for name in model_names() if name != "local"
    ]
    cards += [("adapter", adapter_card(name)) for name in adapter_names()]
    runnable = {card.name for _, card in cards}
    rows: list[dict[str, Any]] = [
        {
            "name": card.name,
            "kind": kind,
            "title": card.title,
            "source": card.source,
            "license": card.license,
            "status": _status(card),
        }
        for kind, card in cards
    ]
    for name in (name for name in packaged_names() if name not in runnable):
        part = read_packaged_card(name)
        about = {"title": _PARTS[part["kind"]], "source": "packaged", "status": "ready"}
        rows.append({"name": name, "kind": part["kind"], "license": part["license"], **about})
    if "local" in model_names():
        rows.append(
            {
                "name": "local",
                "kind": "pipeline",
                "title": "Your own folder or file: model=local model.path=FOLDER_OR_FILE",
                "source": "local",
                "license": "unknown",
                "status": "needs a path",
            }
        )
    return rows


def show_model(name: str) -> dict[str, Any]:
    """Return everything known about a model, an adapter or a shipped part.

    ``path`` is ``None`` if the files are not on this machine; ``missing`` then says
    what to get.
    """
    if name == "local":
        raise InputError("models show local: names no model; it needs model.path when it is run")
    if name in model_names():
        return _show(name, "pipeline", model_card(name), _pipeline)
    if name in adapter_names():
        return _show(name, "adapter", adapter_card(name), _adapter)
    if name in packaged_names():
        return _show_part(name)
    raise unknown_name("model", name, [*model_names(), *adapter_names(), *packaged_names()])


def _show(
    name: str,
    kind: str,
    card: ModelCard | AdapterCard,
    find: Callable[[str], dict[str, Any]],
) -> dict[str, Any]:
    try:
        found: dict[str, Any] = {**find(name), "missing": None}
    except MissingFilesError as error:
        found = {"path": None, "digest": None, "size_bytes": None, "missing": str(error)}
    about = _about_training(name) if card.source == "packaged" else {}
    shown = {
        "name": name,
        "kind": kind,
        "title": card.title,
        "source": card.source,
        "repository": card.repository,
        "revision": card.revision,
        "license": card.license,
        "license_source": card.license_source,
        "base": card.base,
        **{key: about.get(key) for key in _TRAINED},
        **found,
    }
    if isinstance(card, ModelCard):
        shown["recommended"] = vars(card.recommended)
        shown["supported_steps"] = card.supported_steps
        shown["adapter"] = card.adapter
    return shown


def _pipeline(name: str) -> dict[str, Any]:
    files = locate(model_card(name))
    return {
        "path": str(files.path),
        "revision": files.revision or model_card(name).revision,
        "digest": files.digest,
        "size_bytes": files.size_bytes,
        "components": dict(files.components),
        "scheduler": dict(files.scheduler),
    }


def _adapter(name: str) -> dict[str, Any]:
    files = locate_adapter(name)
    return {
        "path": str(files.path),
        "digest": files.digest,
        "size_bytes": files.path.stat().st_size,
        "ranks": sorted({rank for rank, _, _ in files.modules.values()}),
    }


def _show_part(name: str) -> dict[str, Any]:
    """Describe a shipped part that is not a pipeline: the extractor, the VAE, the text encoders."""
    card, folder = read_packaged_card(name), WEIGHTS / name
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "card.json"]
    return {
        "name": name,
        "kind": card["kind"],
        "title": _PARTS[card["kind"]],
        "source": "packaged",
        "repository": None,
        "revision": None,
        "license": card["license"],
        "license_source": card["license_source"],
        "base": card.get("base"),
        **{key: card.get(key) for key in _TRAINED},
        "path": str(folder),
        "digest": digest({"files": DigestCache().folder(folder, paths)}),
        "size_bytes": sum(path.stat().st_size for path in paths),
        "missing": None,
    }


def _about_training(name: str) -> dict[str, Any]:
    return read_packaged_card(name) if name in packaged_names() else {}


def _status(card: ModelCard | AdapterCard) -> str:
    if card.source == "packaged":
        return "ready" if card.name in packaged_names() else "missing"
    try:
        cached_snapshot(card)
    except MissingFilesError:
        return "missing"
    return "ready"


__all__ = ["assemble", "list_models", "show_model"]
