"""The figures of a sweep document as columns: values, intervals, which is best, how they print.

Owns the order of the columns, their decimals and what "best" may be said of.
Pages draw from here, so that table and plots show the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from turbo_lab.environment import Fingerprint
from turbo_lab.verdict import Direction

_FIRST = ("clip_score", "r_precision")
_SHORT = {"num_inference_steps": "steps", "guidance_scale": "guidance"}
_ARROWS = {"higher": "↑", "lower": "↓"}
Interval = tuple[float, float]


@dataclass(frozen=True)
class CellDetails:
    """What the store knows of one cell and the sweep document leaves out."""

    per_image: Mapping[str, Sequence[float]]
    """One value an image by metric, in image order; empty where none was kept."""
    samples_s: Sequence[float]
    """Every timed call, in order; empty where the cell was not timed."""
    fingerprint: Fingerprint
    """Environment that made it."""


@dataclass(frozen=True)
class Column:
    """One figure of every cell."""

    name: str
    """Such as ``clip_score`` or ``latency_ms``."""
    title: str
    """Heading, with its unit."""
    direction: Direction
    """Values that are better."""
    values: tuple[float | None, ...]
    """One a cell; ``None`` where there is none."""
    intervals: tuple[Interval | None, ...]
    """95% confidence; ``None`` where it is not known."""
    notes: tuple[str | None, ...]
    """What a reader must know of a value; ``None`` if nothing."""

    @property
    def heading(self) -> str:
        """The title with an arrow towards better."""
        return f"{self.title} {_ARROWS.get(self.direction, '')}".strip()

    def text(self, index: int) -> str:
        """A value with its interval, for tooltips."""
        value, interval = self.values[index], self.intervals[index]
        if value is None:
            return f"{self.title} \N{EN DASH}"
        shown = f"{self.title} {value:.{self.decimals}f}"
        return shown if interval is None else f"{shown} ({self.between(index)})"

    def between(self, index: int) -> str:
        """An interval, in the column's decimals; empty where there is none."""
        interval = self.intervals[index]
        return (
            ""
            if interval is None
            else "\N{EN DASH}".join(f"{x:.{self.decimals}f}" for x in interval)
        )

    @cached_property
    def decimals(self) -> int:
        """So many that the median interval keeps two digits; else four digits of the largest."""
        halves = sorted(half for i in range(len(self.values)) if (half := self.half(i)))
        if halves:
            return _decimals(halves[len(halves) // 2], 2)
        known = [abs(v) for v in self.values if v is not None and math.isfinite(v)]
        return _decimals(max(known, default=1.0), 4)

    @cached_property
    def widest(self) -> int:
        """Characters of the longest interval; 0 where there is none."""
        return max((len(self.between(i)) for i in range(len(self.values))), default=0)

    def half(self, index: int) -> float | None:
        """Half an interval's width; ``None`` without a finite interval."""
        interval = self.intervals[index]
        if interval is None or not all(map(math.isfinite, interval)):
            return None
        return (interval[1] - interval[0]) / 2

    def best(self) -> set[int]:
        """Cells with the best value; empty if fewer than two can be compared."""
        known = {i: v for i, v in enumerate(self.values) if v is not None and math.isfinite(v)}
        if self.direction == Direction.NONE or len(known) < 2:
            return set()
        target = (max if self.direction == Direction.HIGHER else min)(known.values())
        return {i for i, v in known.items() if v == target}

    def level(self) -> set[int]:
        """Cells that are not best, but whose interval reaches into the best one's."""
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


def columns(cells: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Quality first, then latency, throughput and memory."""
    names = list(dict.fromkeys(name for cell in cells for name in cell["metrics"]))
    ordered = [*(n for n in _FIRST if n in names), *(n for n in names if n not in _FIRST)]
    found = [_metric(name, cells) for name in ordered]
    if any(cell["latency_s"] for cell in cells):
        found += [_latency(cells), _throughput(cells), _memory(cells)]
    return found


def varying_axes(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Axes with more than one value, in the order they were written."""
    names = dict.fromkeys(name for cell in cells for name in cell["axes"])
    return [n for n in names if len({str(c["axes"].get(n, "")) for c in cells}) > 1]


def label(cell: Mapping[str, Any], axes: Iterable[str]) -> str:
    """A cell by what varies: ``steps 2 · guidance 0``."""
    parts = [f"{short_axis(name)} {cell['axes'].get(name, '')}" for name in axes]
    return " · ".join(parts) or "the cell"


def short_axis(name: str) -> str:
    """The two longest names have shorter ones."""
    return _SHORT.get(name, name)


def real(value: Any) -> float | None:
    """A number of a document, where ``inf`` and ``nan`` are strings."""
    return None if value is None else float(value)


def interval_of(bounds: Sequence[Any] | None, scale: float = 1.0) -> Interval | None:
    """The two ends of a document's interval, in another unit."""
    return None if bounds is None else (scale * float(bounds[0]), scale * float(bounds[1]))


def _metric(name: str, cells: Sequence[Mapping[str, Any]]) -> Column:
    figures = [cell["metrics"].get(name) or {} for cell in cells]
    return Column(
        name=name,
        title=name,
        direction=next((Direction(f["direction"]) for f in figures if f), Direction.NONE),
        values=tuple(real(f.get("value")) for f in figures),
        intervals=tuple(interval_of(f.get("ci95")) for f in figures),
        notes=tuple(f.get("note") for f in figures),
    )


def _latency(cells: Sequence[Mapping[str, Any]]) -> Column:
    """A call's median; calls of one size may be compared, others only by image."""
    sizes = {cell["timing"]["batch_size"] for cell in cells if cell["timing"]}
    by_image = len(sizes) > 1
    values, intervals = [], []
    for cell in cells:
        latency = cell["latency_s"]
        scale = 1e3 / (cell["timing"]["batch_size"] if by_image and cell["timing"] else 1)
        values.append(float(latency["p50"]) * scale if latency else None)
        intervals.append(interval_of(latency["ci95"], scale) if latency else None)
    title = "p50 ms an image" if by_image else "p50 ms"
    notes = tuple(_timing_note(cell) for cell in cells)
    return Column("latency_ms", title, Direction.LOWER, tuple(values), tuple(intervals), notes)


def _timing_note(cell: Mapping[str, Any]) -> str | None:
    return "; ".join((cell["timing"] or {}).get("warnings", ())) or None


def _throughput(cells: Sequence[Mapping[str, Any]]) -> Column:
    values = tuple(real(cell["throughput_images_per_s"]) for cell in cells)
    nothing = (None,) * len(values)
    return Column("throughput", "images/s", Direction.HIGHER, values, nothing, nothing)


def _memory(cells: Sequence[Mapping[str, Any]]) -> Column:
    values = tuple(
        cell["timing"]["peak_memory_bytes"] / 2**20 if cell["timing"] else None for cell in cells
    )
    nothing = (None,) * len(values)
    return Column("memory", "peak MiB", Direction.NONE, values, nothing, nothing)


def _decimals(size: float, digits: int) -> int:
    if size <= 0:
        return 0
    return min(6, max(0, digits - 1 - math.floor(math.log10(size))))
