"""Images of a run under the names that MLflow's own page shows as a grid with a step slider.

MLflow's ``log_image`` writes each image twice, in full and as a small copy for the page, and
holds a run open until its threads have finished. The same files are written here in one call.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from turbo_lab.documents.sweep import ImageFile
from turbo_lab.errors import StoreError
from turbo_lab.identity import digest
from turbo_lab.images import UNREADABLE, decode_png
from turbo_lab.untrusted.paths import read_regular

SHOWS_IMAGES = "mlflow.loggedImages"
"""Tag of a run whose images the page shows."""
FOLDER = "images"
"""Folder of the images among the artifacts of a run."""
# A file name has up to 255 bytes; what follows the key takes about 100 of them.
_MAX_KEY = 120
_REFUSED = re.compile(r"[^A-Za-z0-9_\-. ]+")


def write_images(images: Sequence[ImageFile], folder: Path) -> None:
    """Write a cell's images: the key is the prompt, the step counts the images of a prompt."""
    folder.mkdir()
    for stem, image in image_stems(images):
        # A copy, not a link: the target of a link could change before MLflow reads it.
        content = read_regular(image.path, error=StoreError)
        write_image(folder / stem, content)


def write_image(stem: Path, content: bytes) -> None:
    """Write a PNG file, and next to it the small copy that MLflow's page loads first."""
    from mlflow.tracking.multimedia import compress_image_size

    stem.with_name(f"{stem.name}.png").write_bytes(content)
    try:
        picture = Image.fromarray(decode_png(content))
    except UNREADABLE as error:
        raise StoreError(
            f"{stem.name}: the image cannot be read; turbo-lab store verify lists what is damaged"
        ) from error
    small = compress_image_size(picture)
    small.save(stem.with_name(f"{stem.name}+compressed.webp"))


def image_stems(images: Sequence[ImageFile]) -> Iterator[tuple[str, ImageFile]]:
    """Yield the file name, without its ending, and each image.

    The same images give the same names each time, so that a projection that was cut off is
    completed and not repeated.
    """
    steps: Counter[str] = Counter()
    for image in images:
        key = image_key(image.prompt)
        yield image_stem(key, steps[key], f"{image.path.name} {image.pixel_sha256}"), image
        steps[key] += 1


def image_stem(key: str, step: int, content: str) -> str:
    """Return the name of an image file without its ending; ``content``: text that identifies it.

    The page sorts by step; a time of 0 stands for one that says nothing.
    """
    name = uuid.uuid5(uuid.NAMESPACE_OID, f"{key} {step} {content}")
    return f"{key}+step+{step}+timestamp+0+{name}"


def image_key(prompt: str) -> str:
    """Return a prompt as MLflow takes it for a key: its letters, digits, spaces and ``_-.``.

    Prompts that differ in anything else get eight digits of their digest.
    """
    key = _REFUSED.sub(" ", prompt)
    key = " ".join(key.split())
    if key and key == prompt and len(key) <= _MAX_KEY:
        return key
    return f"{key[: _MAX_KEY - 9]} {digest(prompt)[:8]}".strip()
