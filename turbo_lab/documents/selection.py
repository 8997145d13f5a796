"""The ``turbo-lab-selection`` document: images of a sweep that a person chose on its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turbo_lab.documents.document import read_document
from turbo_lab.documents.sweep import Axes
from turbo_lab.errors import StoreError
from turbo_lab.store.record import read_object
from turbo_lab.untrusted.paths import hex_name

SELECTION = "turbo-lab-selection"
"""Kind of the document."""


@dataclass(frozen=True)
class SelectedImage:
    """One image that was marked."""

    prompt: str
    """Prompt of the image."""
    seed: int
    """Seed of the image's own generator."""
    pixel_sha256: str
    """sha256 of its pixels."""


@dataclass(frozen=True)
class SelectedCell:
    """One cell with images that were marked."""

    cell_id: str
    """Id of the cell."""
    axes: Axes
    """Values of the keys that vary, by key; for people, the store knows them."""
    images: tuple[SelectedImage, ...]
    """Its marked images, in order."""


@dataclass(frozen=True)
class Selection:
    """The ``turbo-lab-selection`` document. A sweep's page exports it, and ``cells=`` reads it."""

    sweep_id: str
    """Id of the sweep."""
    store: Path
    """Folder of its store, an absolute path on the machine that wrote the page."""
    favourites: tuple[SelectedCell, ...]
    """Cells with a favourite image, in the order of the grid."""
    rejects: tuple[SelectedCell, ...]
    """Cells with a rejected image, in the order of the grid."""

    @classmethod
    def read(cls, path: Path) -> Selection:
        """Read the file of a selection. Raises :class:`StoreError` for anything else."""
        values = read_object(path, "export it from the page again")
        found = read_document(cls, SELECTION, values, str(path))
        hex_name(found.sweep_id, f"{path}: sweep_id", StoreError)
        return found
