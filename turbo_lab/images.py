"""Images as files: PNG with the recipe inside, and the hash of the pixels.

Owns the text chunks and the pixel hash. Hashes are of pixels, never of files:
two PNG encoders write the same pixels as different bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from turbo_lab.errors import InputError
from turbo_lab.untrusted.paths import MAX_DOCUMENT_BYTES, open_regular

_ORIENTATION, _EXIF, _USER_COMMENT = 0x0112, 0x8769, 0x9286  # EXIF tags
_UNICODE = b"UNICODE\0"
# Level 1 is 4x faster than Pillow's 6 and costs a few percent of size on photographs.
_COMPRESS_LEVEL = 1


PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Endings of files that are images."""
# Pillow goes by a file's content, not by its name. Of its other formats, some are read by another
# program: an EPS file under any name is run by Ghostscript.
_PNG_ONLY, _PHOTO_FORMATS = ("PNG",), ("PNG", "JPEG", "WEBP", "BMP")

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Exceptions of Pillow for a damaged or hostile image, such as one of over 179 million pixels."""


class ImageFileError(InputError):
    """An image file that cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def pixel_sha256(pixels: np.ndarray) -> str:
    """Return the sha256 of ``WIDTHxHEIGHT\\n`` and the (H, W, 3) uint8 RGB pixels, rows first."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels: {pixels.dtype} {pixels.shape} is not (H, W, 3) uint8")
    height, width, _ = pixels.shape
    state = hashlib.sha256(f"{width}x{height}\n".encode("ascii"))
    state.update(np.ascontiguousarray(pixels).tobytes())
    return state.hexdigest()


def encode_png(
    pixels: np.ndarray, text: Mapping[str, str], compress_level: int = _COMPRESS_LEVEL
) -> bytes:
    """Encode (H, W, 3) uint8 RGB as a PNG file with UTF-8 text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_itxt(key, value)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info, compress_level=compress_level)
    return buffer.getvalue()


def decode_png(content: bytes) -> np.ndarray:
    """Decode a PNG file in memory to (H, W, 3) uint8 RGB."""
    with open_png(content) as image:
        return np.asarray(image.convert("RGB"))


def open_png(content: bytes) -> Image.Image:
    """Open a PNG file in memory; a file of another format is refused.

    Raises one of :data:`UNREADABLE`, now or when the pixels are read.
    """
    return Image.open(io.BytesIO(content), formats=_PNG_ONLY)


def read_png(path: Path, *, follow_links: bool = True) -> tuple[np.ndarray, dict[str, str]]:
    """Read pixels, (H, W, 3) uint8 RGB, and text chunks. Raises :class:`InputError`.

    It is an :class:`ImageFileError` unless the path is not a regular file.

    ``follow_links``: whether ``path`` may be a symbolic link; images of a store never are.
    """
    try:
        with (
            open_regular(path, follow_links=follow_links, limit_bytes=MAX_DOCUMENT_BYTES) as file,
            Image.open(file, formats=_PHOTO_FORMATS) as image,
        ):
            if image.format != "PNG":
                raise ImageFileError(path, f"is a {image.format} file, not a PNG")
            image.load()
            return np.asarray(image.convert("RGB")), dict(image.text)  # type: ignore[attr-defined]
    except FileNotFoundError as error:
        raise ImageFileError(path, "does not exist") from error
    except UNREADABLE as error:
        raise ImageFileError(path, f"cannot be read as a PNG ({error})") from error


def read_texts(path: Path) -> dict[str, str]:
    """Return the texts in an image file by name; raises as :func:`read_photo`.

    Those of a PNG file are its text chunks. JPEG and WebP files have one, which other programs
    write into the EXIF comment: it is returned as ``parameters``.
    """
    with _opened(path) as image:
        image.load()
        texts = {k: v for k, v in image.info.items() if isinstance(k, str) and isinstance(v, str)}
        comment = image.getexif().get_ifd(_EXIF).get(_USER_COMMENT)
    if isinstance(comment, bytes) and comment.startswith(_UNICODE):
        text = comment.removeprefix(_UNICODE)
        # Big-endian by the rule of EXIF; ASCII has its zeros first.
        order = "utf-16-le" if text[1:2] == b"\0" else "utf-16-be"
        texts.setdefault("parameters", text.decode(order, "replace"))
    return texts


def is_picture_name(name: str) -> bool:
    """Return whether a file is an image by its name; macOS leaves ``._NAME`` next to each."""
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith("._")


def read_photo(path: Path) -> tuple[np.ndarray, bool]:
    """Return an image file's pixels as people see it, and whether its EXIF orientation turned it.

    Pixels: (H, W, 3) uint8 RGB. Raises :class:`ImageFileError` for a file that cannot be read,
    and for pixels that are not 8-bit RGB or grey without transparency.
    """
    with _opened(path) as image:
        mode = f"{image.mode} with transparency" * ("transparency" in image.info) or image.mode
        if mode not in ("RGB", "L", "P"):
            raise ImageFileError(
                path, f"its pixels are {mode}; save it as 8-bit RGB without transparency"
            )
        is_turned = image.getexif().get(_ORIENTATION, 1) != 1
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB")), is_turned


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; what Pillow cannot read inside is an :class:`ImageFileError`."""
    try:
        with (
            open_regular(path, follow_links=True, limit_bytes=MAX_DOCUMENT_BYTES) as file,
            Image.open(file, formats=_PHOTO_FORMATS) as image,
        ):
            yield image
    except FileNotFoundError as error:
        raise ImageFileError(path, "does not exist") from error
    except UnidentifiedImageError as error:  # its text names an object of Python
        reason = "it is none of PNG, JPEG, WebP and BMP, or it is damaged"
        raise ImageFileError(path, f"cannot be read as an image ({reason})") from error
    except UNREADABLE as error:
        raise ImageFileError(path, f"cannot be read as an image ({error})") from error


def fit(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Crop the middle of (H, W, 3) uint8 RGB to an aspect ratio, and resize it with Lanczos.

    Pixels that have the size already stay as they are.
    """
    fitted = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(fitted)
