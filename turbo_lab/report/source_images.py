"""Source images of a sweep, for the sheet that shows them next to its results.

Owns the rule that a document's word is not enough: it may name any file as a source, and one is
shown only if its pixels have the digest that the document names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab.documents.sweep import CellResult
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.request.request import parse_resolution
from turbo_lab.request.source import source_pixels

_MAX_EDGE = 8192  # a document names the size that a source is brought to


@dataclass(frozen=True)
class SourceImage:
    """One source image at the size of the images that begin from it."""

    name: str
    """Name of its file, without the folder."""
    pixels: np.ndarray
    """(H, W, 3) uint8 in [0, 255], RGB."""


def source_images(cells: Sequence[CellResult]) -> Mapping[str, SourceImage]:
    """Return the source images of cells by digest; files that are gone or differ are left out."""
    found: dict[str, SourceImage] = {}
    for cell in cells:
        used = {one.source for one in cell.images}
        for digest, origin in (cell.provenance.sources or {}).items():
            if digest not in used or digest in found:
                continue
            try:
                size = parse_resolution(cell.parameters.resolution)
                if max(size) <= _MAX_EDGE:
                    pixels = source_pixels(origin.path, digest, size)
                    found[digest] = SourceImage(origin.name, pixels)
            except (InputError, MissingFilesError, OSError):
                continue
    return found
