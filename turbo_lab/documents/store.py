"""The ``store verify``, ``store du`` and ``store gc`` documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turbo_lab.store.maintenance import Damage, Usage


@dataclass(frozen=True)
class StoreVerified:
    """The ``store verify`` document."""

    store: Path
    """Folder of the store, an absolute path."""
    removed: tuple[Damage, ...]
    """Files and folders that were removed; empty without ``--remove-damaged``."""
    damaged: tuple[Damage, ...]
    """Files and folders that are damaged or incomplete now."""


@dataclass(frozen=True)
class StoreUsage:
    """The ``store du`` document."""

    store: Path
    """Folder of the store, an absolute path."""
    kinds: tuple[Usage, ...]
    """Disk space per kind of file."""
    models: tuple[Usage, ...]
    """Disk space of the images of each model."""


@dataclass(frozen=True)
class StoreCollected:
    """The ``store gc`` document."""

    store: Path
    """Folder of the store, an absolute path."""
    removed: tuple[Path, ...]
    """Files and folders that were removed, or would be."""
    freed_bytes: int
    """Disk space that this frees, in bytes."""
    dry_run: bool
    """``true`` if nothing was removed."""
