"""The models that can be run: a table, and everything known about one of them.

Imports no torch, because nothing is loaded to show a model.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from turbo_lab.cards import (
    WEIGHTS,
    AdapterCard,
    ModelCard,
    adapter_card,
    adapter_names,
    locate,
    locate_adapter,
    locate_vae,
    model_card,
    model_names,
    read_packaged_card,
)
from turbo_lab.cards.card import Card, VaeCard, vae_card, vae_names
from turbo_lab.cards.hub import cached_snapshot
from turbo_lab.cards.packaged import PackagedCard, packaged_names
from turbo_lab.cards.vae import CONFIG_FILE, WEIGHTS_FILE
from turbo_lab.documents.document import read_value
from turbo_lab.documents.models import ModelMetric, ModelRow, ModelShown, ModelStatus
from turbo_lab.errors import InputError, MissingFilesError, unknown_name
from turbo_lab.identity import DigestCache, digest

# Titles of what ships in addition to pipelines and adapters, by the kind on its card.
_PARTS = {
    "judge": "CLIP that scores, retrieves and measures distances: metrics.extractor",
    "vae": "The VAE of the nano pipelines",
    "text": "Tokenizers and text encoders of the nano pipelines",
}
_LOCAL = ModelRow(
    name="local",
    kind="pipeline",
    title="Your own folder or file: model=local model.path=FOLDER_OR_FILE",
    source="local",
    license="unknown",
    status=ModelStatus.NEEDS_PATH,
)


def list_models() -> list[ModelRow]:
    """Return one row per card, the parts that ship and ``local``. Hashes nothing."""
    cards: list[tuple[str, Card]] = [
        ("pipeline", model_card(name)) for name in model_names() if name != "local"
    ]
    cards += [("adapter", adapter_card(name)) for name in adapter_names()]
    cards += [("vae", vae_card(name)) for name in vae_names()]
    rows = [_row(card, kind) for kind, card in cards]
    runnable = {card.name for _, card in cards}
    rows += [_part_row(name) for name in packaged_names() if name not in runnable]
    return [*rows, _LOCAL] if "local" in model_names() else rows


def _row(card: Card, kind: str) -> ModelRow:
    return ModelRow(
        name=card.name,
        kind=kind,
        title=card.title,
        source=card.source,
        license=card.license,
        status=_status(card),
    )


def _part_row(name: str) -> ModelRow:
    """Return the row of a shipped part that is neither a pipeline nor an adapter."""
    part = read_packaged_card(name)
    return ModelRow(
        name=name,
        kind=part.kind,
        title=part.title or _PARTS[part.kind],
        source="packaged",
        license=part.license,
        status=ModelStatus.READY,
    )


def show_model(name: str, kind: str | None = None) -> ModelShown:
    """Return everything known about a model, an adapter, a VAE or a shipped part.

    ``kind``: ``adapter`` for the adapter of a name that a model has as well; by default, a model
    comes first.
    """
    if name == "local":
        raise InputError("models show local: name a model; local is for your own folder or file")
    if name in model_names() and kind != "adapter":
        return _pipeline(model_card(name))
    if name in adapter_names():
        return _adapter(adapter_card(name))
    if name in vae_names():
        return _vae(vae_card(name))
    if name in packaged_names():
        return _part(name)
    names = [*model_names(), *adapter_names(), *vae_names(), *packaged_names()]
    raise unknown_name("model", name, names)


def _pipeline(card: ModelCard) -> ModelShown:
    shown = replace(
        _of_card(card, "pipeline"),
        recommended=card.recommended,
        supported_steps=card.supported_steps,
        adapter=card.adapter,
    )
    try:
        files = locate(card)
    except MissingFilesError as error:
        return replace(shown, missing=str(error))
    return replace(
        shown,
        path=files.path,
        revision=files.revision or card.revision,
        digest=files.digest,
        size_bytes=files.size_bytes,
        components=files.components,
        scheduler=files.scheduler,
    )


def _adapter(card: AdapterCard) -> ModelShown:
    shown = _of_card(card, "adapter")
    try:
        files = locate_adapter(card.name)
    except MissingFilesError as error:
        return replace(shown, missing=str(error))
    return replace(
        shown,
        path=files.path,
        digest=files.digest,
        size_bytes=files.path.stat().st_size,
        ranks=tuple(sorted({layer.rank for layer in files.layers})),
    )


def _vae(card: VaeCard) -> ModelShown:
    shown = _of_card(card, "vae")
    try:
        files = locate_vae(card.name)
    except MissingFilesError as error:
        return replace(shown, missing=str(error))
    size_bytes = sum((files.path / name).stat().st_size for name in (CONFIG_FILE, WEIGHTS_FILE))
    return replace(
        shown,
        path=files.path,
        revision=files.revision or card.revision,
        digest=files.digest,
        size_bytes=size_bytes,
    )


def _of_card(card: Card, kind: str) -> ModelShown:
    """Return what a card says, as if its files were not on this machine."""
    is_ours = card.source == "packaged" and card.name in packaged_names()
    trained = read_packaged_card(card.name) if is_ours else None
    return ModelShown(
        name=card.name,
        kind=kind,
        title=card.title,
        source=card.source,
        repository=card.repository,
        revision=card.revision,
        license=card.license,
        license_source=card.license_source,
        base=None if isinstance(card, VaeCard) else card.base,
        trained_on=None if trained is None else trained.trained_on,
        parameters=None if trained is None else trained.parameters,
        figures=None if trained is None else _figures(trained),
        path=None,
        digest=None,
        size_bytes=None,
        missing=None,
    )


def _part(name: str) -> ModelShown:
    """Describe a shipped part that is not a pipeline: the extractor, the VAE, the text encoders."""
    card, folder = read_packaged_card(name), WEIGHTS / name
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "card.json"]
    return ModelShown(
        name=name,
        kind=card.kind,
        title=card.title or _PARTS[card.kind],
        source="packaged",
        repository=None,
        revision=None,
        license=card.license,
        license_source=card.license_source,
        base=card.base,
        trained_on=card.trained_on,
        parameters=card.parameters,
        figures=_figures(card),
        path=Path(folder),
        digest=digest({"files": DigestCache().folder(folder, paths)}),
        size_bytes=sum(path.stat().st_size for path in paths),
        missing=None,
    )


def _figures(card: PackagedCard) -> dict[str, ModelMetric] | None:
    """Return the values that training measured; ``None`` if there are none."""
    if card.figures is None:
        return None
    where = f"{card.name}/card.json"
    return {key: read_value(ModelMetric, value, where) for key, value in card.figures.items()}


def _status(card: Card) -> ModelStatus:
    if card.source == "packaged":
        return ModelStatus.READY if card.name in packaged_names() else ModelStatus.MISSING
    try:
        cached_snapshot(card)
    except MissingFilesError:
        return ModelStatus.MISSING
    return ModelStatus.READY
