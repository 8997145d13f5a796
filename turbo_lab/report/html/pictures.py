"""Images made small enough for a page: text chunks are dropped, large images scaled down.

Owns the number of images on a page. The pixels of small images are not changed.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from turbo_lab.documents.sweep import CellResult
from turbo_lab.errors import InputError, MissingFilesError, StoreError
from turbo_lab.images import UNREADABLE, open_png
from turbo_lab.request.request import parse_resolution
from turbo_lab.request.source import source_pixels
from turbo_lab.untrusted.paths import read_regular

# Longest edge on a page, in pixels: a browser does not open a page of 1024 x 1024 PNGs.
_EDGE = 512
_SOURCE_EDGE = 160  # a source image is shown in the corner of another image
_MAX_SOURCE_EDGE = 8192  # a document names the size that a source is brought to
_QUALITY = 85
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# Most images on one page, and per cell, unless the user asks for more.
_TOTAL, _PER_CELL = 5000, 16
# With more images than this, a page has thumbnails: with all pixels it would be too large to open.
_MOST_EXACT = 1200
_THUMB_EDGE, _THUMB_QUALITY = 144, 75


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
    is_exact: bool = True
    """``True`` if it has the pixels of the original; ``False``: it was scaled or compressed."""


def pictures_per_cell(num_cells: int) -> int:
    """Return the number of images per cell that a page shows by default."""
    return max(1, min(_PER_CELL, _TOTAL // max(1, num_cells)))


def read_pictures(paths: Sequence[Path]) -> dict[str, Picture]:
    """Read image files, by path as text; files that do not exist are left out.

    Many images become thumbnails. Raises :class:`StoreError` for a damaged one.
    """
    there = [path for path in dict.fromkeys(paths) if path.is_file()]
    read = partial(read_picture, is_thumb=len(there) > _MOST_EXACT)
    # Pillow releases the interpreter's lock while it decodes.
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(read, there)
        return {str(path): picture for path, picture in zip(there, found, strict=True)}


def read_sources(cells: Sequence[CellResult], shown: int) -> dict[str, Picture]:
    """Return the source images of the first ``shown`` images per cell, small, by digest.

    A document may name any file as a source: one is shown only if its pixels have the digest
    that the document names, so that no page carries a picture that its author did not know.
    """
    found: dict[str, Picture] = {}
    for cell in cells:
        origins = cell.provenance.sources or {}
        for digest in dict.fromkeys(one.source for one in cell.images[:shown]):
            if digest is not None and digest in origins and digest not in found:
                picture = _read_source(origins[digest].path, digest, cell.parameters.resolution)
                found |= {} if picture is None else {digest: picture}
    return found


def _read_source(path: Path, digest: str, resolution: str) -> Picture | None:
    """Return a source image at the size of a cell's images; ``None`` if it is not there."""
    try:
        size = parse_resolution(resolution)
        if max(size) > _MAX_SOURCE_EDGE:
            return None
        pixels = source_pixels(path, digest, size)
    except (InputError, MissingFilesError, OSError):
        return None
    return _webp(Image.fromarray(pixels), _SOURCE_EDGE)


def read_picture(path: Path, is_thumb: bool = False) -> Picture:
    """Read one image file for a page.

    ``is_thumb``: make it small in bytes, at the cost of detail. Raises :class:`StoreError` for a
    damaged file, and for a symbolic link: pages are passed on to others, and a link may lead to a
    private file.
    """
    content = read_regular(path, error=StoreError)
    try:
        with open_png(content) as opened:
            width, height = opened.size
            if not is_thumb and max(width, height) <= _EDGE:
                return Picture(without_text(content), "image/png", width, height)
            scaled = opened.convert("RGB")
    except UNREADABLE as error:
        raise StoreError(f"{path}: is damaged ({error}); run turbo-lab store verify") from error
    return _webp(scaled, _THUMB_EDGE, _THUMB_QUALITY) if is_thumb else _webp(scaled, _EDGE)


def picture_head(path: Path) -> Picture:
    """Return an image without its content: its size, and whether a page shows its pixels.

    Raises :class:`StoreError` as :func:`read_picture` does.
    """
    content = read_regular(path, error=StoreError)
    try:
        with open_png(content) as opened:  # reads the header only
            width, height = opened.size
    except UNREADABLE as error:
        raise StoreError(f"{path}: is damaged ({error}); run turbo-lab store verify") from error
    return Picture(b"", "image/png", width, height, is_exact=max(width, height) <= _EDGE)


def _webp(image: Image.Image, edge: int, quality: int = _QUALITY) -> Picture:
    """Return an image whose longest edge is at most ``edge`` pixels."""
    width, height = image.size
    image.thumbnail((edge, edge), Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=2)
    return Picture(buffer.getvalue(), "image/webp", width, height, is_exact=False)


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
