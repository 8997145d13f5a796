"""Metrics of a sweep as columns: values, intervals, which is best, how they print.

Owns the order of the columns, their decimals, their footnotes and which cell may be called the
best. Tables and plots use the same columns, so that they show the same numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from turbo_lab.documents.sweep import CellResult
from turbo_lab.documents.timing import BenchCell, CellTiming
from turbo_lab.environment import Fingerprint
from turbo_lab.store.record import EnergySummary
from turbo_lab.verdict import Direction

_FIRST = ("clip_score", "r_precision")
_SHORT = {"num_inference_steps": "steps", "guidance_scale": "guidance"}
METHODS = {"counter": "the energy counter", "power": "mean power times time"}
"""Ways to measure energy, in words."""
_STAGES = ("text", "encode", "unet", "vae", "post", "other")
_ARROWS = {"higher": "↑", "lower": "↓"}
Interval = tuple[float, float]


@dataclass(frozen=True)
class CellDetails:
    """Details of a cell that the store holds in addition to its :class:`CellResult`."""

    per_image: Mapping[str, Sequence[float]]
    """Values per image, in image order, by metric; empty if none was kept."""
    samples_s: Sequence[float]
    """Duration of every timed call, in order, in seconds; empty if the cell was not timed."""
    fingerprint: Fingerprint
    """Environment in which the cell was drawn."""


@dataclass(frozen=True)
class Column:
    """One metric of every cell."""

    name: str
    """Name, such as ``clip_score`` or ``latency_ms``."""
    title: str
    """Heading, with the unit."""
    direction: Direction
    """Direction in which the metric is better."""
    values: tuple[float | None, ...]
    """One value per cell; ``None``: the cell has none."""
    intervals: tuple[Interval | None, ...]
    """95% confidence intervals; ``None``: unknown."""
    notes: tuple[str | None, ...]
    """Remarks on the values; ``None`` for a value without one."""

    @property
    def heading(self) -> str:
        """Title with an arrow that points to better values."""
        return f"{self.title} {_ARROWS.get(self.direction, '')}".strip()

    def text(self, index: int) -> str:
        """Return a value with its interval, for a tooltip."""
        value, interval = self.values[index], self.intervals[index]
        if value is None:
            return f"{self.title} \N{EN DASH}"
        shown = f"{self.title} {value:.{self.decimals}f}"
        return shown if interval is None else f"{shown} ({self.between(index)})"

    def between(self, index: int) -> str:
        """Return an interval with the decimals of the column; empty if there is none."""
        interval = self.intervals[index]
        return (
            ""
            if interval is None
            else "\N{EN DASH}".join(f"{x:.{self.decimals}f}" for x in interval)
        )

    @cached_property
    def decimals(self) -> int:
        """Number of decimals: two digits of the median interval, else four of the largest value."""
        halves = sorted(half for i in range(len(self.values)) if (half := self.half(i)))
        if halves:
            return _decimals(halves[len(halves) // 2], 2)
        known = [abs(v) for v in self.values if v is not None and math.isfinite(v)]
        return _decimals(max(known, default=1.0), 4)

    @cached_property
    def widest(self) -> int:
        """Number of characters of the longest interval; 0 if there is none."""
        return max((len(self.between(i)) for i in range(len(self.values))), default=0)

    def half(self, index: int) -> float | None:
        """Return half an interval's width; ``None`` without a finite interval."""
        interval = self.intervals[index]
        if interval is None or not all(map(math.isfinite, interval)):
            return None
        return (interval[1] - interval[0]) / 2

    def best(self) -> set[int]:
        """Return the cells with the best value; none if fewer than two can be compared."""
        known = {i: v for i, v in enumerate(self.values) if v is not None and math.isfinite(v)}
        if self.direction == Direction.NONE or len(known) < 2:
            return set()
        target = (max if self.direction == Direction.HIGHER else min)(known.values())
        return {i for i, v in known.items() if v == target}

    def level(self) -> set[int]:
        """Return the cells that are not the best, but whose interval overlaps the best one's."""
        best = self.best()
        bounds = [interval for i in best if (interval := self.intervals[i]) is not None]
        if not bounds:
            return set()
        low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
        return {
            i
            for i, interval in enumerate(self.intervals)
            if i not in best and interval is not None and interval[0] <= high and low <= interval[1]
        }


def columns(cells: Sequence[CellResult]) -> list[Column]:
    """Return the columns of a sweep: quality, latency, throughput, memory, energy."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.metrics))
    ordered = [*(n for n in _FIRST if n in names), *(n for n in names if n not in _FIRST)]
    found = [_metric(name, cells) for name in ordered]
    if any(cell.latency_s for cell in cells):
        found += [_latency(cells), _throughput(cells), _memory(cells)]
    if any(cell.timing and cell.timing.energy for cell in cells):
        found.append(_energy(cells))
    return found


def plain_column(
    name: str,
    title: str,
    direction: Direction,
    values: Sequence[float | None],
    intervals: Sequence[Interval | None] | None = None,
) -> Column:
    """Return a column without notes; ``intervals`` of ``None``: it has none."""
    nothing = (None,) * len(values)
    return Column(
        name=name,
        title=title,
        direction=direction,
        values=tuple(values),
        intervals=nothing if intervals is None else tuple(intervals),
        notes=nothing,
    )


def all_axes(cells: Sequence[CellResult | BenchCell]) -> list[str]:
    """Return the config keys that vary, in the order of the command line."""
    return list(dict.fromkeys(name for cell in cells for name in cell.axes))


def varying_axes(cells: Sequence[CellResult]) -> list[str]:
    """Return the axes with more than one value, in the order of the command line."""
    return [n for n in all_axes(cells) if len({str(c.axes.get(n, "")) for c in cells}) > 1]


def label(cell: CellResult, axes: Iterable[str]) -> str:
    """Return a cell's name from the axes, such as ``steps 2 · guidance 0``."""
    parts = [f"{short_axis(name)} {cell.axes.get(name, '')}" for name in axes]
    return " · ".join(parts) or "the cell"


def short_axis(name: str) -> str:
    """Return a shorter heading for the two longest axes, and any other name unchanged."""
    return _SHORT.get(name, name)


def stem(note: str) -> str:
    """Return a note without numbers and processes; notes with equal stems share a footnote."""
    return re.sub(r"\(running now: [^)]*\)|\d+(\.\d+)?", "#", note)


def distinct(notes: Iterable[str]) -> list[str]:
    """Return one note per stem, in order."""
    return list({stem(note): note for note in sorted(notes)}.values())


def footnotes(shown: Sequence[Column]) -> dict[tuple[str, str], int]:
    """Return the number of each footnote, by column and stem of the note, in order."""
    marks: dict[tuple[str, str], int] = {}
    for column in shown:
        for note in filter(None, column.notes):
            marks.setdefault((column.name, stem(note)), len(marks) + 1)
    return marks


def notes_by_stem(shown: Sequence[Column]) -> dict[tuple[str, str], str]:
    """Return the text of each footnote, by column and stem of the note."""
    return {
        (column.name, stem(note)): f"{column.title}: {note}"
        for column in shown
        for note in sorted(filter(None, column.notes))
    }


def stage_names(timings: Iterable[CellTiming]) -> tuple[str, ...]:
    """Return the stages of timed calls, in order; ``encode`` only where there are source images."""
    found = {name for timing in timings for name in timing.stages_s or ()}
    return tuple(name for name in _STAGES if name != "encode" or name in found)


def energy_texts(energy: EnergySummary | None) -> tuple[str, ...]:
    """Return joules per image and its interval; nothing if energy was not measured."""
    if energy is None:
        return ()
    interval = energy.ci95
    shown = "-" if interval is None else f"{interval[0]:.3g} to {interval[1]:.3g}"
    return f"{energy.joules_per_image:.3g}", shown


def _metric(name: str, cells: Sequence[CellResult]) -> Column:
    found = [cell.metrics.get(name) for cell in cells]
    return Column(
        name=name,
        title=name,
        direction=next((f.direction for f in found if f is not None), Direction.NONE),
        values=tuple(None if f is None else f.value for f in found),
        intervals=tuple(None if f is None else f.ci95 for f in found),
        notes=tuple(None if f is None else f.note for f in found),
    )


def _latency(cells: Sequence[CellResult]) -> Column:
    """Return the column of median times per call, or per image if calls differ in size."""
    sizes = {cell.timing.batch_size for cell in cells if cell.timing is not None}
    by_image = len(sizes) > 1
    values: list[float | None] = []
    intervals: list[Interval | None] = []
    for cell in cells:
        latency = cell.latency_s
        scale = 1e3 / (cell.timing.batch_size if by_image and cell.timing is not None else 1)
        values.append(None if latency is None else latency.p50 * scale)
        bounds = None if latency is None else latency.ci95
        intervals.append(None if bounds is None else (scale * bounds[0], scale * bounds[1]))
    title = "p50 ms per image" if by_image else "p50 ms"
    notes = tuple(_timing_note(cell) for cell in cells)
    return Column(
        name="latency_ms",
        title=title,
        direction=Direction.LOWER,
        values=tuple(values),
        intervals=tuple(intervals),
        notes=notes,
    )


def _timing_note(cell: CellResult) -> str | None:
    return None if cell.timing is None else "; ".join(cell.timing.warnings) or None


def _throughput(cells: Sequence[CellResult]) -> Column:
    values = tuple(cell.throughput_images_per_s for cell in cells)
    return plain_column("throughput", "images/s", Direction.HIGHER, values)


def _memory(cells: Sequence[CellResult]) -> Column:
    peaks = (None if cell.timing is None else cell.timing.peak_memory_bytes for cell in cells)
    values = tuple(None if peak is None else peak / 2**20 for peak in peaks)
    return plain_column("memory", "peak MiB", Direction.NONE, values)


def _energy(cells: Sequence[CellResult]) -> Column:
    found = [None if cell.timing is None else cell.timing.energy for cell in cells]
    return Column(
        name="energy",
        title="J/image",
        direction=Direction.LOWER,
        values=tuple(None if one is None else one.joules_per_image for one in found),
        intervals=tuple(None if one is None else one.ci95 for one in found),
        notes=tuple(
            f"by {METHODS['power']}" if one is not None and one.method == "power" else None
            for one in found
        ),
    )


def _decimals(size: float, digits: int) -> int:
    if size <= 0:
        return 0
    return min(6, max(0, digits - 1 - math.floor(math.log10(size))))
