"""The input and the result of a metric: one extractor pass, shared by all.

Owns the laziness: features are computed at the first use and once, so a metric
that needs no text never encodes one, and a failure is each metric's own error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from turbo_lab.analysis.stats import Interval
from turbo_lab.errors import InputError

Floats = npt.NDArray[np.floating[Any]]


class Extractor(Protocol):
    """Interface of extractors, such as :class:`~.extractor.ClipExtractor`."""

    name: str
    digest: str

    def image_features(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return (N, d) float32 for (N, H, W, 3) uint8."""
        ...

    def text_features(self, prompts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return (N, d) float32 for N texts."""
        ...


@dataclass(frozen=True)
class Score:
    """A metric's result before its provenance is added."""

    value: float | None
    """The value. ``None``: unscored; ``note`` says why."""
    n: int
    """Number of independent samples."""
    ci95: Interval | None = None
    """95% confidence interval. ``None``: n is too small."""
    note: str | None = None
    """A note for readers; ``None`` if there is nothing to say."""
    per_image: tuple[float, ...] | None = None
    """One value per image if ``value`` is their mean, else ``None``."""
    failed: bool = False
    """True if an error kept the metric from a value; ``note`` says which."""


@dataclass(frozen=True)
class MetricInputs:
    """The images of one cell with their features, computed when asked for."""

    images: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]
    """N images (H, W, 3) uint8 in [0, 255], RGB, of one size."""
    prompts: tuple[str, ...]
    """One per image."""
    seeds: tuple[int, ...]
    """One per image."""
    extractor_loader: Callable[[], Extractor]
    """Function that loads the extractor; called at the first use of a feature."""
    reference_loader: Callable[[], Any]
    """Function that loads a :class:`~turbo_lab.metrics.reference.Reference`."""
    prompt_set: tuple[str, ...] = field(default=())
    """Captions that r_precision chooses from."""
    paths: tuple[Path, ...] | None = None
    """PNG file of each image. ``None``: they are in no files."""

    @cached_property
    def extractor(self) -> Extractor:
        """The extractor, loaded once."""
        return self.extractor_loader()

    @cached_property
    def reference(self) -> Any:
        """The reference statistics, loaded once."""
        return self.reference_loader()

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(N, H, W, 3) uint8; raises :class:`InputError` for mixed sizes, floats or counts."""
        return stack_images(self.images, len(self.prompts), len(self.seeds))

    @cached_property
    def image_features(self) -> npt.NDArray[np.float32]:
        """(N, d) float32, not normalised."""
        return self.extractor.image_features(self.pixels)

    def text_features(self, prompts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return (len(prompts), d) float32; each distinct text is encoded once."""
        return self.extractor.text_features(prompts)


def check_images(images: npt.NDArray[Any]) -> None:
    """Raise :class:`InputError` unless (N, H, W, 3) uint8 with N at least 1."""
    if images.dtype != np.uint8:
        raise InputError(
            f"images: dtype {images.dtype}: must be uint8 in [0, 255]; clamp and round floats first"
        )
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise InputError(f"images: shape {images.shape}: must be (N, height, width, 3), N >= 1")


def stack_images(
    images: Sequence[npt.NDArray[Any]] | npt.NDArray[Any], num_prompts: int, num_seeds: int
) -> npt.NDArray[np.uint8]:
    """Return N images as one (N, H, W, 3) uint8 array. Raises :class:`InputError`."""
    if not len(images):
        raise InputError("images: there are none")
    if not len(images) == num_prompts == num_seeds:
        raise InputError(f"{len(images)} images, {num_prompts} prompts, {num_seeds} seeds: differ")
    shapes = sorted({np.shape(image) for image in images})
    if len(shapes) > 1:
        sizes = ", ".join("x".join(str(side) for side in shape) for shape in shapes)
        raise InputError(f"images: shapes differ ({sizes}); measure one size at a time")
    kinds = sorted({np.asarray(image).dtype.name for image in images})
    if kinds != ["uint8"]:
        bad = sum(1 for image in images if not np.isfinite(image).all())
        raise InputError(
            f"images: dtype {', '.join(kinds)}, {bad} with values that are not finite: "
            "must be uint8 in [0, 255]; clamp and round floats first"
        )
    return np.stack([np.asarray(image) for image in images])


def unit_rows(features: Floats) -> npt.NDArray[np.float64]:
    """Divide rows by their Euclidean norm, in float64; a zero row raises ``ValueError``."""
    if features.ndim != 2:
        raise ValueError(f"features: shape {features.shape}: must be (N, d)")
    rows = features.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise ValueError("features: a row is zero or not finite; it has no direction")
    unit: npt.NDArray[np.float64] = rows / norms
    return unit
