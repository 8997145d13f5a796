"""Build a reference: image statistics that distances are measured to.

Owns which files of a folder are read and which folders are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from turbo_lab.documents.inspection import ReferenceBuilt
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache, digest, hash_file
from turbo_lab.images import PICTURE_SUFFIXES, is_picture_name, pixel_sha256, read_photo
from turbo_lab.progress import StderrProgress

if TYPE_CHECKING:
    from turbo_lab.metrics.extractor_source import ExtractorSource
    from turbo_lab.metrics.inputs import Extractor
    from turbo_lab.metrics.reference import Reference

Images = npt.NDArray[np.uint8]
_BATCH = 32


@dataclass(frozen=True)
class Source:
    """A stream of images, which are not all in memory at once."""

    name: str
    """Name for display, and of the file."""
    count: int
    """Number of images."""
    batches: Iterable[Images]
    """Batches of (n, H, W, 3) uint8 of one size; read when iterated."""
    about: dict[str, str]
    """Description of the images that is written into the file."""
    turned: list[Path] = field(default_factory=list)
    """Files that were turned upright as their EXIF orientation says; filled while they are read."""


def write(
    source: Source, extractor: ExtractorSource, keep: bool, device: str, output: Path | None
) -> ReferenceBuilt:
    """Build a reference and write it.

    ``keep``: keep each image's features, which ``kid`` and ``cmmd`` need. ``output``: the
    file; ``None`` names it by source and extractor. Raises :class:`InputError` if it exists.
    """
    path = output or Path(f"{source.name}-{extractor.name}.safetensors")
    _check_output(path)
    reference, distinct = build(source, extractor, keep_features=keep, device=device, path=path)
    return ReferenceBuilt(
        path=path.resolve(),
        name=reference.name,
        n=reference.n,
        distinct=distinct,
        num_features=len(reference.mean),
        features=keep,
        extractor_name=reference.extractor_name,
        extractor=reference.extractor,
        digest=hash_file(path),
        warnings=tuple(_warnings(reference, distinct, source)),
    )


def folder_source(folder: Path) -> Source:
    """Return the images below a folder, by name. Raises :class:`InputError` if there are none."""
    if not folder.is_dir():
        raise InputError(f"reference build {folder}: is not a folder; name one with images")
    files = sorted(path for path in folder.rglob("*") if is_picture_name(path.name))
    if not files:
        raise InputError(
            f"reference build {folder}: holds no image; it takes files ending in "
            f"{', '.join(PICTURE_SUFFIXES)}"
        )
    turned: list[Path] = []
    return Source(
        folder.resolve().name, len(files), batches=_read(files, turned), about={}, turned=turned
    )


def build(
    source: Source, extractor: ExtractorSource, keep_features: bool, device: str, path: Path
) -> tuple[Reference, int]:
    """Write the reference of all images; return it and the number of distinct images."""
    from turbo_lab.metrics.cache import CachedExtractor, FeatureCache
    from turbo_lab.metrics.reference import build_reference, save_reference

    cache = DigestCache()

    def load() -> Extractor:
        from turbo_lab.metrics.extractor import open_extractor

        return open_extractor(extractor, cache, device)

    cached = CachedExtractor(
        extractor.name, extractor.digest(cache), load=load, cache=FeatureCache(), device=device
    )
    rows, hashes, progress = [], [], StderrProgress()
    progress.begin(source.count)
    try:
        for images in source.batches:
            rows.append(cached.image_features(images))
            hashes += [pixel_sha256(image) for image in images]
            progress.advance(len(images))
    finally:
        progress.end()
    reference = build_reference(
        np.concatenate(rows),
        source.name,
        extractor=cached.digest,
        extractor_name=extractor.name,
        keep_features=keep_features,
    )
    # The statistics do not depend on the order.
    save_reference(path, reference, {"images": digest(sorted(hashes)), **source.about})
    return reference, len(set(hashes))


def _read(files: list[Path], turned: list[Path]) -> Iterator[Images]:
    """Yield batches of pixels, upright; files that were turned are added to ``turned``.

    Raises :class:`InputError` with the file that does not fit.
    """
    first: Images | None = None
    for start in range(0, len(files), _BATCH):
        batch = []
        for path in files[start : start + _BATCH]:
            pixels, is_turned = read_photo(path)
            turned += [path] * is_turned
            first = pixels if first is None else first
            if pixels.shape != first.shape:
                raise InputError(
                    f"{path}: is {_size(pixels)}, but {files[0].name} is {_size(first)}; bring all "
                    "images to one size first: how that is done moves every distance"
                )
            batch.append(pixels)
        yield np.stack(batch)


def _size(pixels: Images) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _check_output(path: Path) -> None:
    """Refuse a file that exists: measurements name it, and its content must not change."""
    if path.suffix != ".safetensors":
        raise InputError(f"--output {path}: must end in .safetensors")
    if path.exists():
        raise InputError(f"{path}: exists; remove it, or name another file with --output FILE")


def _warnings(reference: Reference, distinct: int, source: Source) -> Iterator[str]:
    features = len(reference.mean)
    if source.turned:
        yield (
            f"{len(source.turned)} of the {source.count} images were turned upright, as their EXIF "
            "orientation says"
        )
    if reference.n <= features:
        yield (
            f"{reference.n} images for {features} features: the covariance has no full rank; "
            "distances to it mean little"
        )
    if distinct < 0.99 * reference.n:
        yield f"only {distinct} of the {reference.n} images are distinct"
