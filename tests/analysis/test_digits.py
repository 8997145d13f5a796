"""Numbers as text for people."""

from __future__ import annotations

import math

import pytest

from turbo_lab.analysis.digits import significant


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0001234567, 4, "0.0001235"),
        (12.3456, 4, "12.35"),
        (9999.4, 4, "9999"),
        (9999.6, 4, "10000"),
        (12345.6, 4, "12346"),
        (-12345.6, 4, "-12346"),
        (1240.2, 3, "1240"),
        (999.7, 3, "1000"),
        (999_999.4, 4, "999999"),
        (999_999.6, 4, "1e+06"),
        (math.inf, 4, "inf"),
        (math.nan, 3, "nan"),
    ],
)
def test_numbers_below_a_million_have_no_exponent(value: float, digits: int, text: str) -> None:
    assert significant(value, digits) == text
