"""Source images: the pictures that img2img begins from, by content.

Owns which files an ``image`` means (the user's own, or a packaged set), and how a picture is
brought to a size: turned upright as its EXIF orientation says, cropped in its middle to the aspect
ratio, and resized with Lanczos.
Refuses a file that cannot be read by its name, and a folder's links that lead out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.untrusted.paths import confined, user_path

if TYPE_CHECKING:
    import numpy as np

Size = tuple[int, int]
"""Width and height, in pixels."""

PICTURES = Path(__file__).parent.parent / "data" / "pictures"
"""Folder of the packaged sets of source images, one folder per set."""

RESIZE = "center crop, Lanczos"
"""How a picture is brought to the size of the images; in every record."""


@dataclass(frozen=True)
class Source:
    """One source image at the size at which it is used."""

    name: str
    """Name of the file, without its folder."""
    path: Path
    """The file, an absolute path."""
    digest: str
    """sha256 of its pixels at the size of the images; see ``images.pixel_sha256``."""
    width: int
    """Width of the picture in the file, upright, in pixels."""
    height: int
    """Height of the picture in the file, upright, in pixels."""

    def is_cropped(self, size: Size) -> bool:
        """Return whether the picture has another aspect ratio than ``size``."""
        return self.width * size[1] != self.height * size[0]


def source_files(image: str) -> list[Path]:
    """Return the file that ``image`` names, or the pictures of that folder, sorted by name.

    The name of a packaged set comes before a folder of that name, so that a golden which begins
    from it is the same case everywhere. Raises :class:`InputError` for anything else, and for a
    folder without pictures.
    """
    from turbo_lab.images import PICTURE_SUFFIXES, is_picture_name

    path = PICTURES / image if image in packaged_sets() else user_path(image).absolute()
    if not path.exists():
        packaged = ", ".join(packaged_sets())
        raise InputError(
            f"image={image}: does not exist; name an image file, a folder of them, or a packaged "
            f"set ({packaged})"
        )
    if not path.is_dir():
        return [path]
    names = sorted(one.name for one in path.iterdir() if is_picture_name(one.name))
    files = [confined(path, name, f"image={image}") for name in names]
    if not files:
        endings = ", ".join(PICTURE_SUFFIXES)
        raise InputError(f"image={image}: the folder holds no image ending in {endings}")
    return files


def packaged_sets() -> list[str]:
    """Return the names of the packaged sets of source images."""
    return sorted(path.name for path in PICTURES.iterdir() if path.is_dir())


def read_sources(files: Sequence[Path], size: Size) -> tuple[Source, ...]:
    """Return the sources in files, at a size. Raises :class:`InputError` for the first bad one."""
    from turbo_lab.progress import waiting

    if len(files) == 1:
        return (_read(files[0], size),)
    with waiting(f"reading {len(files)} source images"):
        return tuple(_read(file, size) for file in files)


def _read(file: Path, size: Size) -> Source:
    from turbo_lab.images import fit, pixel_sha256, read_photo

    pixels, _ = read_photo(file)
    height, width, _ = pixels.shape
    return Source(file.name, file, pixel_sha256(fit(pixels, *size)), width, height)


def source_pixels(path: Path, digest: str, size: Size) -> np.ndarray:
    """Return a source's pixels at a size, (H, W, 3) uint8 RGB.

    Raises :class:`MissingFilesError` if the file's picture has another digest, or is gone.
    """
    from turbo_lab.images import fit, pixel_sha256, read_photo

    try:
        pixels = fit(read_photo(path)[0], *size)
    except InputError as error:
        raise MissingFilesError(f"image: {error}") from error
    if pixel_sha256(pixels) != digest:
        raise MissingFilesError(
            f"image: {path} does not hold source image {digest[:12]} (any more); restore the file"
        )
    return pixels


def holds_source(path: Path, digest: str, size: Size) -> bool:
    """Return whether a file that another person named holds a certain source image."""
    try:
        source_pixels(path, digest, size)
    except (MissingFilesError, OSError):
        return False
    return True


def crop_note(image: str, sources: Sequence[Source], size: Size) -> str | None:
    """Return a note about sources of another aspect ratio; ``None``: there are none."""
    cropped = [one for one in sources if one.is_cropped(size)]
    if not cropped:
        return None
    to = f"cropped in the middle to fit {size[0]}x{size[1]}"
    if len(sources) == 1:
        return f"image={image}: {cropped[0].width}x{cropped[0].height}, {to}"
    verb = "is" if len(cropped) == 1 else "are"
    return f"image={image}: {len(cropped)} of its {len(sources)} images {verb} {to}"
