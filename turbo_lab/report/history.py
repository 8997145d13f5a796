"""Sentences about a history that the terminal and the page share."""

from __future__ import annotations

from turbo_lab.analysis.digits import significant
from turbo_lab.documents.history import (
    HistoryChange,
    HistoryPoint,
    HistorySeries,
    HistoryShown,
    Interval,
    KeyChange,
)

# Factor to the unit that people read, and its name.
_SCALES = {"s": (1e3, "ms"), "bytes": (2.0**-20, "MiB")}
# More facts than this do not fit a line.
_MOST_FACTS = 4
# Facts that changed say most in this order; others follow.
_FIRST_FACTS = ("commit", "torch", "diffusers", "transformers", "peft", "device_model")


def outcome(shown: HistoryShown) -> str:
    """Return how many series got worse, and what the level means."""
    count = len(shown.series)
    entries = f"{shown.entries} entr{'y' if shown.entries == 1 else 'ies'}"
    changed = sum(bool(one.changes) for one in shown.series)
    return (
        f"{entries}, {count} figure{'s' if count != 1 else ''}: {changed} changed, "
        f"{shown.worse} for the worse. If nothing had changed, the probability of any alarm would "
        f"be at most {shown.level:g}."
    )


def scaled(value: float, unit: str) -> float:
    """Return a number in the unit that people read: ms and MiB instead of s and bytes."""
    return value * _SCALES.get(unit, (1.0, unit))[0]


def unit_name(unit: str) -> str:
    """Return the unit of :func:`scaled`."""
    return _SCALES.get(unit, (1.0, unit))[1]


def number_text(value: float, unit: str, ci95: Interval | None = None) -> str:
    """Return a number with its unit and its interval."""
    name = unit_name(unit)
    ends = "" if ci95 is None else f" ({_digits(ci95[0], unit)} to {_digits(ci95[1], unit)})"
    return f"{_digits(value, unit)}{f' {name}' if name else ''}{ends}"


def _digits(value: float, unit: str) -> str:
    return significant(scaled(value, unit))


def last_change(series: HistorySeries) -> str:
    """Return the last change of a series in a few letters."""
    if not series.changes:
        return "none found"
    change = series.changes[-1]
    return f"{_size(change, series.unit)}{_judged(change)}"


def change_line(series: HistorySeries, change: HistoryChange) -> str:
    """Return a change with its place in the history and what else changed."""
    first, last = series.points[change.first], series.points[change.last]
    size = f"{_size(change, series.unit)}{_judged(change)}"
    moved = f"{number_text(change.before, series.unit)} to {number_text(change.after, series.unit)}"
    if change.kind == "drift":
        count = change.last - change.first + 1
        where = f"drift over {count} entries, {point_name(first)} to {point_name(last)}"
    else:
        where = f"step at {point_name(last)}"
    facts = _facts(change.environment)
    return f"{where}: {size}, {moved}, p = {change.p_value:.2g}{'; ' if facts else ''}{facts}"


def point_name(point: HistoryPoint) -> str:
    """Return the commit and the day of a point."""
    commit = "" if point.commit is None else f"{point.commit[:10]}, "
    return f"{commit}{point.date[:10]}"


def _size(change: HistoryChange, unit: str) -> str:
    if change.relative is None:
        difference = change.after - change.before
        return f"{'+' if difference > 0 else ''}{number_text(difference, unit)}"
    return f"{change.relative:+.3g}" if abs(change.relative) >= 10 else f"{change.relative:+.1%}"


def _judged(change: HistoryChange) -> str:
    if change.is_worse is None:
        return ""
    return " worse" if change.is_worse else " better"


def _facts(found: tuple[KeyChange, ...]) -> str:
    """Return what else changed, the commit left out: it is named before."""
    rest = [one for one in found if one.key != "commit"]
    rest.sort(key=lambda one: one.key not in _FIRST_FACTS)
    shown = [f"{one.key} {_plain(one.before)} to {_plain(one.after)}" for one in rest]
    more = len(shown) - _MOST_FACTS
    kept = shown[:_MOST_FACTS] + ([f"{more} more"] if more > 0 else [])
    return ", ".join(kept)


def _plain(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 30 else f"{text[:27]}..."
