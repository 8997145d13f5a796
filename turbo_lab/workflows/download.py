"""Fetching a model's files into the local Hugging Face cache, when the user asks for it.

Owns the only download of turbo-lab: by the hub's own client, of the files that a card needs,
after the licence was shown. Refuses what is packaged or the user's own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from turbo_lab.cards import adapter_card, adapter_names, model_card, model_names
from turbo_lab.cards.card import Card, ModelCard, vae_card, vae_names
from turbo_lab.cards.hub import Download, cache_dir, download_of, snapshot
from turbo_lab.documents.models import FetchedRepository
from turbo_lab.errors import IncompleteError, InputError, unknown_name
from turbo_lab.untrusted.redaction import redact


def downloads(name: str) -> list[Download]:
    """Return what a model, an adapter or a VAE needs, its base and its adapter included.

    Raises :class:`InputError` for an unknown name and for what is not on the hub.
    """
    return list({found.command: found for found in map(download_of, _cards(name))}.values())


def fetch(download: Download) -> FetchedRepository:
    """Fetch the files of one repository into the local cache.

    Raises :class:`InputError` if the hub's client is switched to offline mode, and
    :class:`IncompleteError` for a download that fails.
    """
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.logging import get_logger

    for handler in get_logger("huggingface_hub").handlers:
        handler.addFilter(_without_credentials)
    card = download.card
    if constants.HF_HUB_OFFLINE:
        raise InputError("models get: HF_HUB_OFFLINE is set; unset it, or copy the files yourself")
    try:
        found = huggingface_hub.snapshot_download(
            str(card.repository),
            revision=card.revision,
            allow_patterns=list(download.files or download.patterns),
            cache_dir=cache_dir(),
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = redact(" ".join(str(error).split()))[:300]
        raise IncompleteError(f"models get: {card.repository}: {reason}") from error
    if missing := [file for file in download.files if snapshot_lacks(card, file)]:
        raise IncompleteError(f"models get: {card.repository} has no {', '.join(missing)}")
    return FetchedRepository(
        name=card.name,
        repository=str(card.repository),
        revision=card.revision,
        files=download.files or download.patterns,
        license=card.license,
        license_source=card.license_source,
        path=Path(found),
    )


def _without_credentials(entry: logging.LogRecord) -> bool:
    """Redact what the hub's client logs: it quotes ``HF_ENDPOINT``, which may hold a password."""
    entry.msg, entry.args = redact(entry.getMessage()), ()
    return True


def snapshot_lacks(card: Card, file: str) -> bool:
    """Return whether a file is not in the local cache."""
    found = snapshot(str(card.repository), card.revision)
    return found is None or not (found[0] / file).is_file()


def _cards(name: str) -> Iterator[Card]:
    """Yield the cards whose repositories a name needs, its own first."""
    card: Card
    if name in model_names() and name != "local":
        card = model_card(name)
    elif name in adapter_names():
        card = adapter_card(name)
    elif name in vae_names():
        card = vae_card(name)
    else:
        known = sorted({*model_names(), *adapter_names(), *vae_names()} - {"local"})
        raise unknown_name("model", name, known)
    if card.source != "hub":
        raise InputError(f"models get {name}: ships with turbo-lab; there is nothing to fetch")
    yield card
    if isinstance(card, ModelCard):
        if card.base is not None:
            yield model_card(card.base)
        if card.adapter is not None:
            yield adapter_card(card.adapter)
