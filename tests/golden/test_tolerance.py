"""Differences of pictures, and a caller's tolerance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from turbo_lab.errors import InputError
from turbo_lab.golden.tolerance import PixelDifference, Tolerance, pixel_difference

BLACK = np.zeros((2, 4, 4, 3), np.uint8)


def test_a_difference_counts_pixels_of_all_and_the_worst_of_each() -> None:
    other = BLACK.copy()
    other[1, 0, :, 2] = 51  # a fifth of 255, in 4 of 32 pixels; of 48 channels of the picture
    found = pixel_difference(BLACK, other)
    assert found is not None and found.max_abs == 51 and found.share == pytest.approx(4 / 32)
    assert found.psnr == pytest.approx(10 * math.log10(25 / (4 / 48)))
    assert found.text == "pixels differ by up to 51 of 255, PSNR 24.8 dB, 12.50% of the pixels"


def test_pictures_that_cannot_be_compared_have_no_difference() -> None:
    assert pixel_difference(BLACK, BLACK[:1]) is None
    assert pixel_difference(None, BLACK) is None
    assert not Tolerance(max_abs=255).allows(None)


@pytest.mark.parametrize(
    ("tolerance", "allows"),
    [
        (Tolerance(), False),
        (Tolerance(max_abs=2), True),
        (Tolerance(max_abs=1), False),
        (Tolerance(min_psnr=40), True),
        (Tolerance(max_abs=2, min_psnr=45.1), False),
        (Tolerance(max_abs=1, min_psnr=40), False),
    ],
)
def test_all_limits_that_are_given_apply(tolerance: Tolerance, allows: bool) -> None:
    assert tolerance.allows(PixelDifference(2, 45.0, 1.0)) is allows


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_abs": 256}, "max_abs=256: must be from 0 to 255 levels"),
        ({"min_psnr": 0}, "min_psnr=0: must be more than 0 dB"),
        ({"min_psnr": math.nan}, "min_psnr=nan: must be more than 0 dB"),
    ],
)
def test_a_limit_without_meaning_is_refused(limits: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tolerance(**limits)  # type: ignore[arg-type]
