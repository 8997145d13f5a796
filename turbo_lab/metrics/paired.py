"""Paired fidelity: how far each image is from a baseline's of the same seed and prompt.

Joins the figures of :mod:`turbo_lab.analysis.similarity`, the extractor's cosine and LPIPS into
one row per figure, with an interval over prompts and the worst image. LPIPS needs
weights that do not ship: it is unscored where they are not on this machine.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from turbo_lab.analysis import similarity
from turbo_lab.analysis.stats import Interval, bootstrap_mean_ci
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.metrics.inputs import Floats, unit_rows
from turbo_lab.metrics.lpips import lpips
from turbo_lab.verdict import Direction

Images = npt.NDArray[np.uint8]
WINDOW_TOLERANCE = 2


@dataclass(frozen=True)
class PairedFigure:
    """One metric over all pairs."""

    name: str
    """Name, such as ``psnr``."""
    unit: str
    """Unit, such as ``dB``."""
    direction: Direction
    """Which values mean that two images are more alike."""
    mean: float | None
    """Mean over the pairs. ``None``: unscored."""
    worst: float | None
    """Value of the pair that differs most."""
    n: int
    """Number of pairs."""
    ci95: Interval | None
    """95% interval of the mean, over prompts; ``None`` below 8 prompts or for an infinite mean."""
    per_image: tuple[float, ...]
    """One value per pair, in image order."""
    note: str | None = None
    """The reason if there is no value, else ``None``."""


_FIGURES: Mapping[str, tuple[str, Direction]] = {
    "psnr": ("dB", Direction.HIGHER),
    "ssim": ("similarity", Direction.HIGHER),
    "ssim_min_tile": ("similarity", Direction.HIGHER),
    "window_density": ("fraction", Direction.LOWER),
    "exact_pixel_rate": ("fraction", Direction.HIGHER),
    "max_abs": ("levels", Direction.LOWER),
    "embedding_cosine": ("cosine", Direction.HIGHER),
    "lpips": ("distance", Direction.LOWER),
}


def paired_fidelity(
    candidate: Images,
    baseline: Images,
    clusters: Sequence[Hashable],
    features: tuple[Floats, Floats] | None = None,
) -> list[PairedFigure]:
    """Compare two stacks of images, row i of both from one prompt and seed, by every metric.

    ``candidate``, ``baseline``: (N, H, W, 3) uint8. ``features``: the extractor's of
    both, (N, d) each, for the cosine. Raises :class:`InputError` for stacks that
    do not pair.
    """
    if candidate.shape != baseline.shape:
        raise InputError(
            f"paired images: {candidate.shape} and {baseline.shape} differ; compare equal "
            "prompts, seeds and sizes"
        )
    pairs = list(zip(candidate, baseline, strict=True))
    tiles = [similarity.tile_ssim(a, b) for a, b in pairs]
    values: dict[str, list[float]] = {
        "psnr": [similarity.psnr(a, b) for a, b in pairs],
        "ssim": [mean for mean, _ in tiles],
        "ssim_min_tile": [least for _, least in tiles],
        "window_density": [similarity.window_density(a, b, WINDOW_TOLERANCE) for a, b in pairs],
        "exact_pixel_rate": [similarity.exact_pixel_rate(a, b) for a, b in pairs],
        "max_abs": [float(similarity.max_abs(a, b)) for a, b in pairs],
    }
    if features is not None:
        first, second = (unit_rows(rows) for rows in features)
        values["embedding_cosine"] = [float(v) for v in np.einsum("nd,nd->n", first, second)]
    unscored = []
    try:
        values["lpips"] = lpips(candidate, baseline)
    except TurboLabError as error:
        note = f"unscored: {error}"
        unscored = [PairedFigure("lpips", *_FIGURES["lpips"], None, None, 0, None, (), note)]
    return [*(_figure(name, found, clusters) for name, found in values.items()), *unscored]


def _figure(name: str, values: list[float], clusters: Sequence[Hashable]) -> PairedFigure:
    unit, direction = _FIGURES[name]
    array = np.array(values)
    finite = bool(np.isfinite(array).all())  # equal images have an infinite PSNR
    return PairedFigure(
        name=name,
        unit=unit,
        direction=direction,
        mean=float(array.mean()),
        worst=float(array.min() if direction == Direction.HIGHER else array.max()),
        n=len(array),
        ci95=bootstrap_mean_ci(array, clusters) if finite else None,
        per_image=tuple(values),
        note=None if finite else "some images are equal: their PSNR is infinite",
    )
