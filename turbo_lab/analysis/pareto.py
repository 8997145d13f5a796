"""The Pareto front of quality against latency, by intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A value, with how sure it is."""

    value: float
    """The value."""
    ci95: Interval | None
    """95% confidence interval; ``None``: too few samples for one."""

    @property
    def range(self) -> Interval:
        """The interval; without one, the value alone."""
        return self.ci95 or (self.value, self.value)


def pareto(points: Mapping[str, tuple[Estimate, Estimate]]) -> list[str]:
    """Return the names of the points that no other point dominates.

    ``points``: name to (quality, latency); more quality and less latency are better. A point
    dominates another only if one of its intervals is better throughout and the other is not
    worse throughout. A point without an interval dominates by its value, since the better of
    two may be the one with fewer samples; it is never on the front itself.
    """

    def dominates(a: str, b: str) -> bool:
        (quality_a, latency_a), (quality_b, latency_b) = (
            tuple(one.range for one in points[name]) for name in (a, b)
        )
        better = quality_a[0] > quality_b[1], latency_a[1] < latency_b[0]
        worse = quality_a[1] < quality_b[0], latency_a[0] > latency_b[1]
        return any(better) and not any(worse)

    sure = [name for name, both in points.items() if all(one.ci95 for one in both)]
    return [name for name in sure if not any(dominates(o, name) for o in points if o != name)]
