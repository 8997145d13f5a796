"""Metrics of two images: by hand, against other libraries, and what each one misses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_lab.analysis.similarity import exact_pixel_rate, max_abs, psnr, tile_ssim, window_density


def picture(seed: int = 0, side: int = 256) -> np.ndarray:
    """Soft shapes with some texture, as a photograph has."""
    draws = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(6 * x * a + 5 * y * b + c) for a, b, c in draws.uniform(0.3, 2, (3, 3))]
    image = 128 + 80 * np.stack(waves, axis=-1) + draws.normal(0, 6, (side, side, 3))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def test_by_hand() -> None:
    a = np.zeros((4, 4, 3), np.uint8)
    b = a.copy()
    b[0, 0, 1] = 51
    assert max_abs(a, b) == 51
    assert exact_pixel_rate(a, b) == 15 / 16
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 / (51**2 / 48)))
    assert psnr(a, a) == math.inf
    assert window_density(a, b, window=2) == 1 / 4
    assert window_density(a, b, tolerance=51, window=2) == 0
    assert window_density(a, b) == 1 / 16  # no window is larger than the image


@pytest.mark.parametrize(
    ("change", "seen_by"),
    [
        ("noise", set()),
        ("brightness", {"density", "ssim", "min tile", "max abs"}),
        ("block", {"density", "min tile", "max abs"}),
        ("channels", {"density", "ssim", "min tile", "max abs"}),
    ],
)
def test_no_single_figure_is_enough(change: str, seen_by: set[str]) -> None:
    """The table of measured misses, with one threshold per metric.

    A mean over the image hides a block; only density and the smallest tile of
    the channels see everything and leave the noise alone.
    """
    image = picture()
    other = image.astype(int)
    if change == "noise":
        other = other + np.random.default_rng(1).integers(-1, 2, image.shape)
    elif change == "brightness":
        other = other // 2
    elif change == "block":
        other[32:64, 32:64] = 255 - other[32:64, 32:64]
    else:
        other = other[..., ::-1]
    changed = np.clip(other, 0, 255).astype(np.uint8)
    mean, least = tile_ssim(image, changed)
    alarms = {
        "density": window_density(image, changed, tolerance=2) > 0.1,
        "ssim": mean < 0.9,
        "min tile": least < 0.8,
        "max abs": max_abs(image, changed) > 8,
    }
    assert {name for name, alarm in alarms.items() if alarm} == seen_by


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(2, 9))
def test_windows_are_what_a_loop_counts(seed: int, window: int) -> None:
    draws = np.random.default_rng(seed)
    a = draws.integers(0, 3, (12, 10, 3), dtype=np.uint8)
    b = draws.integers(0, 3, (12, 10, 3), dtype=np.uint8)
    differs = (a != b).any(axis=-1)
    best = max(
        differs[i : i + window, j : j + window].sum()
        for i in range(12 - window + 1)
        for j in range(10 - window + 1)
    )
    assert window_density(a, b, window=window) == pytest.approx(best / window**2)


def test_ssim_agrees_with_torchmetrics() -> None:
    """Uniform windows; torchmetrics pads by reflection, so the border is left out."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure as oracle

    first, second = picture(1), picture(1)
    second[20:40, 20:50] //= 2
    a, b = (torch.from_numpy(i).permute(2, 0, 1)[None].double() / 255 for i in (first, second))
    _, full = oracle(
        a, b, gaussian_kernel=False, kernel_size=15, data_range=1.0, return_full_image=True
    )
    inside = full[..., 7:-7, 7:-7].numpy()
    mean, least = tile_ssim(first, second, tile=15)
    # torchmetrics crops what its padding touched; the windows inside are the same ones.
    assert mean == pytest.approx(inside.mean(), abs=2e-3)
    assert least == pytest.approx(inside.min(), abs=2e-3)


def test_what_does_not_pair_is_refused() -> None:
    image = picture()
    with pytest.raises(ValueError, match="differ in shape"):
        max_abs(image, image[:8])
    with pytest.raises(ValueError, match="uint8"):
        psnr(image / 255.0, image)  # type: ignore[arg-type]
