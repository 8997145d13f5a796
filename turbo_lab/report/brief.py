"""Compact table of a sweep, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.analysis.digits import significant
from turbo_lab.documents.sweep import CellResult
from turbo_lab.report.columns import Column, all_axes, columns, footnotes, notes_by_stem, stem
from turbo_lab.report.sentences import latency_note

Marks = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class BriefValue:
    """Value of one column for one cell."""

    text: str
    """Value, interval and the number of its footnote."""
    is_best: bool
    """``True`` for the best value of its column."""


@dataclass(frozen=True)
class BriefTable:
    """One row per cell, one column per metric."""

    axes: tuple[str, ...]
    """Config keys that the sweep varies."""
    headings: tuple[str, ...]
    """Headings of the value columns."""
    rows: tuple[tuple[BriefValue, ...], ...]
    """Values of each cell, in the order of the headings."""
    notes: tuple[str, ...]
    """Footnotes, in order."""


def brief_table(cells: Sequence[CellResult]) -> BriefTable:
    """Return the quality, latency and throughput of all cells."""
    shown = [column for column in columns(cells) if column.name != "memory"]
    numbered = [column for column in shown if column.name != "latency_ms"]
    marks, texts = footnotes(numbered), notes_by_stem(numbered)
    best = [column.best() for column in shown]
    rows = tuple(
        tuple(
            BriefValue(_text(column, index, marks), index in best[at])
            for at, column in enumerate(shown)
        )
        for index in range(len(cells))
    )
    notes = [f"({number}) {texts[key]}" for key, number in marks.items()]
    headings = tuple(column.heading for column in shown)
    timed = [note] if (note := latency_note(cells)) else []
    return BriefTable(tuple(all_axes(cells)), headings, rows, (*timed, *notes, *_busy(cells)))


def _text(column: Column, index: int, marks: Marks) -> str:
    value, note = column.values[index], column.notes[index]
    text = "-" if value is None else significant(value)
    if column.name == "latency_ms":
        return text
    interval = column.intervals[index]
    if value is not None and interval is not None:
        text += interval_text(value, *interval)
    return text if note is None else f"{text} ({marks[column.name, stem(note)]})"


def interval_text(value: float, low: float, high: float) -> str:
    """Return ``±half`` for an interval that is centred on its value, otherwise its ends."""
    half = (high - low) / 2
    if abs((high + low) / 2 - value) <= 0.25 * half:
        return f" ±{half:.2g}"
    return f" [{low:.3g}, {high:.3g}]"


def _busy(cells: Sequence[CellResult]) -> list[str]:
    """Return a note if other processes were busy while a cell was timed."""
    timings = [cell.timing for cell in cells if cell.timing is not None]
    warnings = sorted({one.host_busy for one in timings if one.host_busy is not None})
    return [f"! latency: {warnings[0]}"] if warnings else []
