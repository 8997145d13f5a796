"""The words that the ``store`` commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from turbo_lab.cli.options import take_keys
from turbo_lab.errors import InputError
from turbo_lab.store.layout import DEFAULT_STORE
from turbo_lab.store.store import Store


def open_store(words: Sequence[str]) -> Store:
    """Open the store that ``store=DIR`` names; raises :class:`InputError` for other words."""
    rest, keys = take_keys(words, "store")
    if rest:
        raise InputError(f"store: {rest[0]}: unexpected; pass store=DIRECTORY and options only")
    return Store.existing(Path(keys.get("store", DEFAULT_STORE)))
