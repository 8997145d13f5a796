"""Which points no other dominates, by intervals."""

from __future__ import annotations

from turbo_lab.analysis.pareto import Estimate, pareto


def between(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, (low, high))


def test_a_point_is_dominated_only_where_intervals_are_apart() -> None:
    points = {
        "fast": (between(0.70, 0.72), between(0.05, 0.06)),
        "good": (between(0.80, 0.82), between(0.20, 0.22)),
        "bad": (between(0.60, 0.62), between(0.21, 0.23)),
        "close": (between(0.79, 0.81), between(0.19, 0.23)),
    }
    assert pareto(points) == ["fast", "good", "close"]


def test_the_worst_is_not_the_front_because_the_others_have_no_interval() -> None:
    """Eight images have an interval, seven do not."""
    slow = between(0.20, 0.22)
    points = {
        "worst": (between(0.10, 0.12), slow),
        "better": (Estimate(0.80, None), Estimate(0.05, None)),
        "best": (Estimate(0.90, None), Estimate(0.05, None)),
    }
    assert pareto(points) == []
    assert pareto({"worst": points["worst"]}) == ["worst"]
