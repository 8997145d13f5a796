"""Scales and ticks, by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.report.html.svg import Scale, fit


def test_a_scale_by_hand() -> None:
    scale = Scale(0, 10, 100, 300)
    assert [scale(v) for v in (0, 5, 10)] == [100, 200, 300]
    assert scale.ticks() == [0, 2, 4, 6, 8, 10]
    down = Scale(1, 100, 200, 0, log=True)
    assert [down(v) for v in (1, 10, 100)] == [200, 100, 0]
    assert down.ticks() == [1, 2, 5, 10, 20, 50, 100]


def test_ticks_are_round_numbers() -> None:
    assert Scale(0.05, 0.42, 0, 1).ticks() == [0.1, 0.2, 0.3, 0.4]


@given(st.lists(st.floats(-1e9, 1e9), max_size=8), st.sampled_from([None, True, False]))
def test_a_fitted_scale_covers_every_value(values: list[float], log: bool | None) -> None:
    scale = fit(values, 0, 100, log)
    assert all(-0.1 <= scale(value) <= 100.1 for value in values)
    # A range of 1e-300 has no ticks that can be distinguished; any other has a few.
    assert len(scale.ticks()) <= 12


def test_a_scale_does_not_extend_below_zero_if_no_value_does() -> None:
    assert fit([0.2, 10], 0, 1, log=False).low == 0
    assert fit([0.2, 10], 0, 1, log=False, from_zero=False).low < 0
    assert fit([-1, 10], 0, 1).low < -1
