"""Series of a history: one figure on one kind of device, and what changed in it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from turbo_lab.analysis.change_points import Changes, Drift, Step, find_changes, simulate_alarms
from turbo_lab.documents.history import (
    Figure,
    HistoryChange,
    HistoryEntry,
    HistoryPoint,
    HistorySeries,
    HistoryShown,
    HistorySimulated,
    KeyChange,
    SimulatedRate,
    is_worse,
)
from turbo_lab.documents.occasion import Occasion
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.verdict import Direction

LEVEL = 0.05
"""Probability of any false alarm in a history whose figures do not change."""
# Fewer digits of a commit might be a year.
_SHORTEST_COMMIT = 7
# Heights of the steps that a simulation tries, in standard deviations.
_STEPS = (0.0, 1.0, 2.0, 3.0)


@dataclass(frozen=True)
class _Seen:
    """A figure and when it was measured."""

    figure: Figure
    """The number."""
    occasion: Occasion
    """When, where and of which code."""


def select(
    entries: Sequence[HistoryEntry], since: str | None, figure: str | None
) -> tuple[HistoryEntry, ...]:
    """Return the entries from a date or commit on, with the figures of a name.

    ``since``: a date such as ``2026-11-01``, or the first digits of a commit. ``figure``: part of
    a figure's name. ``None``: no limit. Raises :class:`InputError` if nothing is left.
    """
    kept = list(entries) if since is None else list(entries[_first_since(entries, since) :])
    if figure is not None:
        kept = [
            replace(one, figures=tuple(f for f in one.figures if figure in f.name)) for one in kept
        ]
        names = {f.name for one in entries for f in one.figures}
        if not any(one.figures for one in kept):
            raise unknown_name("figure", figure, names)
    return tuple(one for one in kept if one.figures)


def _first_since(entries: Sequence[HistoryEntry], since: str) -> int:
    """Return the index of the first entry of a commit, or from a date on."""
    for index, entry in enumerate(entries):
        git = entry.occasion.git
        if git is not None and len(since) >= _SHORTEST_COMMIT and git.commit.startswith(since):
            return index
    try:
        date = datetime.datetime.fromisoformat(since)
    except ValueError:
        raise InputError(
            f"since={since}: is neither a date such as 2026-11-01 nor a commit of this history"
        ) from None
    start = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    for index, entry in enumerate(entries):
        if datetime.datetime.fromisoformat(entry.occasion.date) >= start:
            return index
    raise InputError(f"since={since}: the last entry is of {entries[-1].occasion.date[:10]}")


def show(entries: Sequence[HistoryEntry], level: float = LEVEL) -> HistoryShown:
    """Return all series of a history with their steps and drifts.

    ``entries``: in the order of their dates. ``level``: probability of any false alarm; every
    series has an equal share of it (Bonferroni).
    """
    groups = _grouped(entries)
    share = level / max(1, len(groups))
    series = [_series(place, seen, share) for (_, _, place), seen in groups.items()]
    series.sort(key=lambda one: (not is_worse(one), not one.changes))
    return HistoryShown(entries=len(entries), level=level, series=tuple(series))


def simulate(lengths: Sequence[int], level: float, runs: int) -> HistorySimulated:
    """Return how often a change is found in series without one, and with a step.

    ``level``: probability of a false alarm per series.
    """
    rows = []
    for length in lengths:
        for step in _STEPS:
            found = simulate_alarms(length, level, runs, step)
            rows.append(SimulatedRate(length, step, found.rate, found.ci95))
    return HistorySimulated(level=level, runs=runs, rows=tuple(rows))


def _grouped(entries: Sequence[HistoryEntry]) -> dict[tuple[str, str, str], list[_Seen]]:
    """Return the figures by name, subject and place."""
    groups: dict[tuple[str, str, str], list[_Seen]] = {}
    for entry in entries:
        for figure in entry.figures:
            if math.isfinite(figure.value):
                key = (figure.name, figure.subject, _place(figure, entry.occasion))
                groups.setdefault(key, []).append(_Seen(figure, entry.occasion))
    return groups


def _place(figure: Figure, occasion: Occasion) -> str:
    """Return the device that numbers must share to be comparable, for a timed one the host, too."""
    keys, options = occasion.keys, occasion.options
    device = str(keys.get("device_class", "unknown device"))
    if not figure.is_timed:
        return device
    model, host = keys.get("device_model", ""), options.get("host", "unknown host")
    return f"{device}, {model}, {host}"


def _series(place: str, seen: Sequence[_Seen], level: float) -> HistorySeries:
    latest = seen[-1].figure
    found = find_changes([one.figure.value for one in seen], level)
    return HistorySeries(
        name=latest.name,
        subject=latest.subject,
        place=place,
        unit=latest.unit,
        direction=latest.direction,
        points=tuple(map(_point, seen)),
        changes=_changes(found, seen),
    )


def _point(seen: _Seen) -> HistoryPoint:
    git = seen.occasion.git
    return HistoryPoint(
        date=seen.occasion.date,
        commit=None if git is None else git.commit,
        value=seen.figure.value,
        ci95=seen.figure.ci95,
    )


def _changes(found: Changes, seen: Sequence[_Seen]) -> tuple[HistoryChange, ...]:
    direction = seen[-1].figure.direction
    changes = [_step(one, seen, direction) for one in found.steps]
    changes += [_drift(one, seen, direction) for one in found.drifts]
    return tuple(sorted(changes, key=lambda one: one.last))


def _step(step: Step, seen: Sequence[_Seen], direction: Direction) -> HistoryChange:
    return HistoryChange(
        kind="step",
        first=step.index - 1,
        last=step.index,
        before=step.before,
        after=step.after,
        relative=_relative(step.before, step.after),
        ci95=None,
        p_value=step.p_value,
        is_worse=_is_worse(step.after - step.before, direction),
        environment=_environment(seen[step.index - 1].occasion, seen[step.index].occasion),
    )


def _drift(drift: Drift, seen: Sequence[_Seen], direction: Direction) -> HistoryChange:
    first, last = drift.start, drift.end - 1
    return HistoryChange(
        kind="drift",
        first=first,
        last=last,
        before=drift.first,
        after=drift.last,
        relative=_relative(drift.first, drift.last),
        ci95=drift.change_ci95,
        p_value=drift.p_value,
        is_worse=_is_worse(drift.last - drift.first, direction),
        environment=_environment(seen[first].occasion, seen[last].occasion),
    )


def _relative(before: float, after: float) -> float | None:
    return after / before - 1 if before else None


def _is_worse(difference: float, direction: Direction) -> bool | None:
    if direction == Direction.NONE:
        return None
    return difference > 0 if direction == Direction.LOWER else difference < 0


def _environment(before: Occasion, after: Occasion) -> tuple[KeyChange, ...]:
    """Return the commit and the keys that differ between two occasions."""
    facts = _facts(before), _facts(after)
    names = dict.fromkeys([*facts[0], *facts[1]])
    return tuple(
        KeyChange(name, facts[0].get(name), facts[1].get(name))
        for name in names
        if facts[0].get(name) != facts[1].get(name)
    )


def _facts(occasion: Occasion) -> Mapping[str, object]:
    commit = {} if occasion.git is None else {"commit": occasion.git.commit}
    return {**commit, **occasion.keys, **occasion.options}
