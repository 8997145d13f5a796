"""Differences between two images of one seed, by metrics that complement each other.

Pure numpy on pairs of (H, W, 3) uint8 RGB images. No single metric is enough: a
mean structural similarity misses an inverted block, a cosine of embeddings
misses half the brightness; the densest window of differing pixels caught all of
the mistakes listed in ``docs/determinism.md`` and ignored harmless noise.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

# Wang et al. 2004, equation 13, for values in [0, 1].
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def max_abs(a: Image, b: Image) -> int:
    """Return the largest difference of a channel, in levels of 255; lower is nearer."""
    return int(_apart(a, b).max(initial=0))


def exact_pixel_rate(a: Image, b: Image) -> float:
    """Return the share of pixels equal in all channels, in [0, 1]."""
    return float((_apart(a, b).max(axis=-1) == 0).mean())


def psnr(a: Image, b: Image) -> float:
    """Return the peak signal-to-noise ratio in dB over all channels; infinite if equal."""
    squared = float(np.square(_apart(a, b), dtype=np.float64).mean())
    return math.inf if squared == 0 else 10 * math.log10(255**2 / squared)


def window_density(a: Image, b: Image, tolerance: int = 0, window: int = 16) -> float:
    """Return the share of differing pixels in their densest window, in [0, 1].

    A pixel differs if a channel is more than ``tolerance`` levels off. All
    windows of ``window`` x ``window`` pixels count, at every offset.
    """
    differs = (_apart(a, b).max(axis=-1) > tolerance).astype(np.float64)
    sums = _window_sums(differs, min(window, *differs.shape))
    return float(sums.max() / min(window, *differs.shape) ** 2)


def tile_ssim(a: Image, b: Image, tile: int = 16) -> tuple[float, float]:
    """Return the structural similarity of tiles: mean, and smallest over tiles and channels.

    Equation 13 of Wang et al. 2004 on uniform windows of ``tile`` x ``tile``
    pixels, at every offset, each channel separately (a gray image does not show
    swapped channels). In [-1, 1], 1 for equal images. Our own since
    torchmetrics returns means only, and the smallest tile is what shows a local
    fault; with its uniform window the means agree (test).
    """
    side = min(tile, *a.shape[:2])
    _apart(a, b)  # shapes and types
    scores = [
        _ssim_map(a[..., channel] / 255.0, b[..., channel] / 255.0, side)
        for channel in range(a.shape[-1])
    ]
    stacked = np.stack(scores)
    return float(stacked.mean()), float(stacked.min())


def _ssim_map(a: Floats, b: Floats, side: int) -> Floats:
    count = side * side
    mean_a, mean_b = _window_sums(a, side) / count, _window_sums(b, side) / count
    var_a = _window_sums(a * a, side) / count - mean_a**2
    var_b = _window_sums(b * b, side) / count - mean_b**2
    covariance = _window_sums(a * b, side) / count - mean_a * mean_b
    top = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    bottom = (mean_a**2 + mean_b**2 + _SSIM_C1) * (var_a + var_b + _SSIM_C2)
    score: Floats = top / bottom
    return score


def _window_sums(values: Floats, side: int) -> Floats:
    """Return the sums over all ``side`` x ``side`` windows of (H, W) values."""
    total = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    above = total[side:, side:] - total[:-side, side:]
    sums: Floats = above - total[side:, :-side] + total[:-side, :-side]
    return sums


def _apart(a: Image, b: Image) -> npt.NDArray[np.int16]:
    for image in (a, b):
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(f"image: {image.dtype} {image.shape} is not (H, W, C) uint8")
    if a.shape != b.shape:
        raise ValueError(f"images differ in shape: {a.shape} and {b.shape}")
    return np.abs(a.astype(np.int16) - b.astype(np.int16))
