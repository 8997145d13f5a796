"""Paired fidelity of two stacks of images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from turbo_lab.errors import InputError
from turbo_lab.metrics.paired import paired_fidelity

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
PROMPTS = [str(i // 1) for i in range(12)]


def by_name(candidate: np.ndarray, **options: object) -> dict:  # type: ignore[type-arg]
    rows = paired_fidelity(candidate, IMAGES, PROMPTS, **options)  # type: ignore[arg-type]
    return {row.name: row for row in rows}


def test_equal_images() -> None:
    found = by_name(IMAGES)
    assert (found["exact_pixel_rate"].mean, found["max_abs"].mean) == (1.0, 0.0)
    assert found["psnr"].mean == math.inf and found["psnr"].ci95 is None
    assert "infinite" in (found["psnr"].note or "")
    assert found["ssim_min_tile"].mean == pytest.approx(1.0)


def test_one_bad_image_is_the_worst() -> None:
    changed = IMAGES.copy()
    changed[7] = 255 - changed[7]
    found = by_name(changed)
    assert found["window_density"].worst == 1.0
    assert found["window_density"].mean == pytest.approx(1 / 12)
    assert found["max_abs"].worst == found["max_abs"].mean * 12
    low, high = found["exact_pixel_rate"].ci95 or (0.0, 0.0)
    assert low < 11 / 12 <= high


def test_cosines_need_features_and_lpips_its_weights() -> None:
    assert "embedding_cosine" not in by_name(IMAGES)
    rows = np.random.default_rng(1).standard_normal((12, 4))
    assert by_name(IMAGES, features=(rows, -rows))["embedding_cosine"].mean == pytest.approx(-1)
    assert by_name(IMAGES)["lpips"].mean is None
    assert "unscored: lpips: needs torchvision's alexnet" in (by_name(IMAGES)["lpips"].note or "")


def test_stacks_that_do_not_pair_are_refused() -> None:
    with pytest.raises(InputError, match="compare equal prompts, seeds and sizes"):
        by_name(IMAGES[:3])
