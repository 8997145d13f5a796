"""Images made small enough for a page: text chunks are dropped, large images scaled down.

Owns the number of images on a page. The pixels of small images are not changed.
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
from turbo_lab.images import UNREADABLE
from turbo_lab.untrusted.paths import read_regular

# Longest edge on a page, in pixels: a browser does not open a page of 1024 x 1024 PNGs.
_EDGE = 512
_QUALITY = 85
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# Most images on one page, and per cell, unless the user asks for more.
_TOTAL, _PER_CELL = 1200, 16


@dataclass(frozen=True)
class Picture:
    """One image in the form in which a page contains it."""

    content: bytes
    """A PNG or WebP file."""
    mime: str
    """MIME type of ``content``."""
    width: int
    """Width of the original, in pixels."""
    height: int
    """Height of the original, in pixels."""


def pictures_per_cell(num_cells: int) -> int:
    """Return the number of images per cell that a page shows by default."""
    return max(1, min(_PER_CELL, _TOTAL // max(1, num_cells)))


def read_pictures(paths: Sequence[Path]) -> dict[str, Picture]:
    """Read image files, by path as text; files that do not exist are left out.

    Raises :class:`StoreError` for a damaged one.
    """
    there = [path for path in dict.fromkeys(paths) if path.is_file()]
    # Pillow releases the interpreter's lock while it decodes.
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(read_picture, there)
        return {str(path): picture for path, picture in zip(there, found, strict=True)}


def read_picture(path: Path) -> Picture:
    """Read one image file for a page.

    Raises :class:`StoreError` for a damaged file, and for a symbolic link: pages are passed on to
    others, and a link may lead to a private file.
    """
    content = read_regular(path, error=StoreError)
    try:
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            if max(width, height) <= _EDGE and opened.format == "PNG":
                return Picture(without_text(content), "image/png", width, height)
            scaled = opened.convert("RGB")
    except UNREADABLE as error:
        raise StoreError(f"{path}: is damaged ({error}); run turbo-lab store verify") from error
    scaled.thumbnail((_EDGE, _EDGE), Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    scaled.save(buffer, "WEBP", quality=_QUALITY, method=2)
    return Picture(buffer.getvalue(), "image/webp", width, height)


def without_text(png: bytes) -> bytes:
    """Return a PNG with only the chunks that its pixels need.

    The recipe in the text chunks is a fifth of a small file.
    """
    parts, at = [_SIGNATURE], len(_SIGNATURE)
    while at + 8 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        end = at + 12 + length
        if png[at + 4 : at + 8] in _KEPT:
            parts.append(png[at:end])
        at = end
    return b"".join(parts)
