"""Images made small enough for a page: text chunks dropped, large ones scaled down.

Owns how many images a page shows. Pixels of small images stay what they are.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from turbo_lab.errors import StoreError
from turbo_lab.untrusted.paths import read_regular

# Above this edge an image is scaled down to it: a page of 1024 x 1024 PNGs would not open.
_EDGE = 512
_QUALITY = 85
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# Images on one page, and at most so many of a cell unless asked for.
_TOTAL, _A_CELL = 1200, 16


@dataclass(frozen=True)
class Picture:
    """One image as a page holds it."""

    content: bytes
    """A PNG or WebP file."""
    mime: str
    """Of ``content``."""
    width: int
    """Of the original, in pixels."""
    height: int
    """Of the original, in pixels."""


def pictures_a_cell(num_cells: int) -> int:
    """How many images of each cell a page shows by default."""
    return max(1, min(_A_CELL, _TOTAL // max(1, num_cells)))


def read_pictures(paths: Sequence[Path]) -> dict[str, Picture]:
    """By path as text; files that are not there are left out.

    Raises ``OSError`` for a file that is not an image.
    """
    there = [path for path in dict.fromkeys(paths) if path.is_file()]
    # Pillow decodes without the interpreter's lock.
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(read_picture, there)
        return {str(path): picture for path, picture in zip(there, found, strict=True)}


def read_picture(path: Path) -> Picture:
    """One image file for a page. Raises ``OSError`` for a file that is not an image.

    Raises :class:`StoreError` for a link: a page is passed on to others.
    """
    content = read_regular(path, error=StoreError)
    with Image.open(io.BytesIO(content)) as opened:
        width, height = opened.size
        if max(width, height) <= _EDGE and opened.format == "PNG":
            return Picture(without_text(content), "image/png", width, height)
        scaled = opened.convert("RGB")
    scaled.thumbnail((_EDGE, _EDGE), Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    scaled.save(buffer, "WEBP", quality=_QUALITY, method=2)
    return Picture(buffer.getvalue(), "image/webp", width, height)


def without_text(png: bytes) -> bytes:
    """A PNG with only the chunks that its pixels need: recipes are a fifth of a small file."""
    parts, at = [_SIGNATURE], len(_SIGNATURE)
    while at + 8 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        end = at + 12 + length
        if png[at + 4 : at + 8] in _KEPT:
            parts.append(png[at:end])
        at = end
    return b"".join(parts)
