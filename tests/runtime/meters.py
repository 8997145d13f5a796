"""A meter for machines without a GPU: it replays what an NVIDIA GPU would report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class ReplayedMeter:
    """Energy that grows with a clock, at a given power."""

    now_s: Callable[[], float]
    """Clock of the calls that are measured."""
    watts: float = 300.0
    """Power draw."""
    has_counter: bool = True
    """Whether the device has an energy counter, as Volta and later do."""
    resets: list[float] = field(default_factory=list)
    """Moments at which the counter starts again from zero."""

    def energy_j(self) -> float | None:
        if not self.has_counter:
            return None
        start = max((moment for moment in self.resets if moment <= self.now_s()), default=0.0)
        return self.watts * (self.now_s() - start)

    def power_w(self) -> float | None:
        return self.watts


class SilentMeter:
    """A device that is there and reports neither energy nor power, as a slice of a GPU."""

    def energy_j(self) -> float | None:
        return None

    def power_w(self) -> float | None:
        return None
