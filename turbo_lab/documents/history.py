"""One entry of a history file, and the documents of the ``history`` commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turbo_lab.documents.occasion import Occasion
from turbo_lab.verdict import Direction, Verdict

Interval = tuple[float, float]


@dataclass(frozen=True)
class Figure:
    """One number of an entry."""

    name: str
    """Name of the metric, such as ``latency`` or ``clip_score``."""
    subject: str
    """Settings that were measured, as KEY=VALUE words, or the name of a golden."""
    value: float
    """The number."""
    ci95: Interval | None
    """95% interval of the number. ``None``: it has none."""
    unit: str
    """Unit of the number; empty for a share or a ratio."""
    direction: Direction
    """Direction in which the number is better."""
    is_timed: bool
    """``true`` if the number depends on the machine, not only on the kind of device."""


@dataclass(frozen=True)
class HistoryEntry:
    """One line of a history file: the numbers of one gate, bench or golden check."""

    source: str
    """Kind of the document that the numbers come from, such as ``gate``."""
    verdict: Verdict | None
    """Verdict of the document. ``None``: it has none."""
    occasion: Occasion
    """When, where and of which code it was measured."""
    figures: tuple[Figure, ...]
    """The numbers."""


@dataclass(frozen=True)
class HistoryRecorded:
    """The ``history record`` document."""

    path: Path
    """The history file, an absolute path."""
    added: int
    """Number of entries that were added."""
    already: int
    """Number of entries that the file had already."""


@dataclass(frozen=True)
class KeyChange:
    """One fact about the environment that changed between two entries."""

    key: str
    """Name of the key, or ``commit``."""
    before: object
    """Its value in the entry before."""
    after: object
    """Its value in the entry after."""


@dataclass(frozen=True)
class HistoryPoint:
    """One number of a series."""

    date: str
    """Date and time of the entry in UTC."""
    commit: str | None
    """Commit of the entry, 40 hex digits. ``None``: it was not in a repository."""
    value: float
    """The number."""
    ci95: Interval | None
    """95% interval of the number. ``None``: it has none."""


@dataclass(frozen=True)
class HistoryChange:
    """A step or a drift of one series."""

    kind: str
    """``step``: from one entry to the next; ``drift``: steadily over many entries."""
    first: int
    """Index of the last point before a step, or of the first point of a drift."""
    last: int
    """Index of the first point after a step, or of the last point of a drift."""
    before: float
    """Median before a step; the fitted line's value at ``first`` for a drift."""
    after: float
    """Median after a step; the fitted line's value at ``last`` for a drift."""
    relative: float | None
    """``after`` over ``before``, minus 1. ``None``: ``before`` is 0."""
    ci95: Interval | None
    """95% interval of ``after`` minus ``before`` for a drift. ``None`` for a step."""
    p_value: float
    """p-value of "nothing changed"."""
    is_worse: bool | None
    """``true`` if the number got worse. ``None``: neither direction is better."""
    environment: tuple[KeyChange, ...]
    """Facts that changed between the points ``first`` and ``last``."""


@dataclass(frozen=True)
class HistorySeries:
    """The values of one figure on one kind of device, in the order of their dates."""

    name: str
    """Name of the metric."""
    subject: str
    """Settings that were measured, as KEY=VALUE words, or the name of a golden."""
    place: str
    """Class and model of the device; for a timed figure also the host."""
    unit: str
    """Unit of the numbers."""
    direction: Direction
    """Direction in which the numbers are better."""
    points: tuple[HistoryPoint, ...]
    """The numbers, in the order of their dates."""
    changes: tuple[HistoryChange, ...]
    """Steps and drifts, in order."""


@dataclass(frozen=True)
class HistoryShown:
    """The ``history show`` document."""

    entries: int
    """Number of entries."""
    level: float
    """Probability of any false alarm, if no figure changes."""
    series: tuple[HistorySeries, ...]
    """The series, those with a change for the worse first."""

    @property
    def worse(self) -> int:
        """Number of series whose last change is for the worse."""
        return sum(is_worse(one) for one in self.series)


def is_worse(series: HistorySeries) -> bool:
    """Return whether the last change of a series is for the worse."""
    return bool(series.changes) and series.changes[-1].is_worse is True


@dataclass(frozen=True)
class SimulatedRate:
    """Alarms in simulated series."""

    entries: int
    """Length of the series."""
    step: float
    """Height of a step after two thirds of the series, in standard deviations; 0: no step."""
    rate: float
    """Share of the series in which a change was found."""
    ci95: Interval | None
    """95% interval of ``rate``. ``None``: too few series."""


@dataclass(frozen=True)
class HistorySimulated:
    """The ``history simulate`` document."""

    level: float
    """Probability of a false alarm that was asked for."""
    runs: int
    """Number of simulated series per row."""
    rows: tuple[SimulatedRate, ...]
    """False alarms where ``step`` is 0, detected steps elsewhere."""
