"""Compact table of a sweep: how values and intervals print."""

from __future__ import annotations

import pytest

from turbo_lab.report.brief import interval_text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.5, 0.4, 0.6, " ±0.1"),
        (57.2, 20.4, 54.4, " [20.4, 54.4]"),  # a basic bootstrap of a biased metric
        (0.9, 0.7, 0.95, " [0.7, 0.95]"),
    ],
)
def test_an_interval_is_plus_minus_only_if_it_is_centred(
    value: float, low: float, high: float, text: str
) -> None:
    assert interval_text(value, low, high) == text
