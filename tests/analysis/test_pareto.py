"""Which points no other dominates, by intervals."""

from __future__ import annotations

from turbo_lab.analysis.pareto import pareto


def test_a_point_is_dominated_only_where_intervals_are_apart() -> None:
    points = {
        "fast": ((0.70, 0.72), (0.05, 0.06)),
        "good": ((0.80, 0.82), (0.20, 0.22)),
        "bad": ((0.60, 0.62), (0.21, 0.23)),
        "close": ((0.79, 0.81), (0.19, 0.23)),
    }
    assert pareto(points) == ["fast", "good", "close"]
