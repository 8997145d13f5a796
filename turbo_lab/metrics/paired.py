"""Paired fidelity: how far each image is from a baseline's of the same seed and prompt.

Owns the list of these metrics: those of :mod:`turbo_lab.analysis.similarity`, the extractor's
cosine, and LPIPS, which is unscored on a machine without its weights, because they do not ship.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from turbo_lab.analysis import similarity
from turbo_lab.analysis.stats import bootstrap_mean_ci
from turbo_lab.documents.compare import FidelityMetric
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.metrics.inputs import Floats, unit_rows
from turbo_lab.metrics.lpips import lpips
from turbo_lab.verdict import Direction

Images = npt.NDArray[np.uint8]
WINDOW_TOLERANCE = 2


_METRICS: Mapping[str, tuple[str, Direction]] = {
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
) -> list[FidelityMetric]:
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
        unscored = [_unscored("lpips", f"unscored: {error}")]
    return [*(_over_pairs(name, found, clusters) for name, found in values.items()), *unscored]


def _unscored(name: str, note: str) -> FidelityMetric:
    unit, direction = _METRICS[name]
    return FidelityMetric(
        name=name, unit=unit, direction=direction, mean=None, worst=None, n=0, ci95=None, note=note
    )


def _over_pairs(name: str, values: list[float], clusters: Sequence[Hashable]) -> FidelityMetric:
    unit, direction = _METRICS[name]
    array = np.array(values)
    finite = bool(np.isfinite(array).all())  # equal images have an infinite PSNR
    return FidelityMetric(
        name=name,
        unit=unit,
        direction=direction,
        mean=float(array.mean()),
        worst=float(array.min() if direction == Direction.HIGHER else array.max()),
        n=len(array),
        ci95=bootstrap_mean_ci(array, clusters) if finite else None,
        note=None if finite else "some images are equal: their PSNR is infinite",
    )
