"""Distances of a golden check."""

from __future__ import annotations

import math

import pytest

from turbo_lab.documents.golden import CaseDistance


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (0.0, True),
        (0.5, True),
        (math.nextafter(0.5, 1), False),
        (math.inf, False),
        (math.nan, False),
        (None, False),
    ],
)
def test_a_distance_holds_up_to_its_threshold_and_never_without_a_value(
    value: float | None, holds: bool
) -> None:
    assert CaseDistance(value, 0.5).holds is holds
