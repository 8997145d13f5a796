"""The Pareto front of quality against latency, by intervals."""

from __future__ import annotations

from collections.abc import Mapping


def pareto(points: Mapping[str, tuple[tuple[float, float], tuple[float, float]]]) -> list[str]:
    """Return the names of the points that no other point dominates.

    ``points``: name to (95% interval of quality, 95% interval of latency); more quality
    and less latency are better. A point dominates another only if one of its intervals
    is better throughout and the other is not worse throughout.
    """

    def dominates(a: str, b: str) -> bool:
        (quality_a, latency_a), (quality_b, latency_b) = points[a], points[b]
        better = quality_a[0] > quality_b[1], latency_a[1] < latency_b[0]
        worse = quality_a[1] < quality_b[0], latency_a[0] > latency_b[1]
        return any(better) and not any(worse)

    return [name for name in points if not any(dominates(o, name) for o in points if o != name)]
