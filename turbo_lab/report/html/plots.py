"""The plots of a sweep's page: quality against latency, and figures along an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from turbo_lab.analysis.latency_fit import position
from turbo_lab.analysis.pareto import Estimate, pareto
from turbo_lab.documents.sweep import CellResult
from turbo_lab.report.columns import Column, Interval, label, short_axis
from turbo_lab.report.html.page import Html, escape, tag
from turbo_lab.report.html.svg import SERIES, WIDTH, Scale, chart, line, path, plot_area, text_width
from turbo_lab.verdict import Direction

Cells = Sequence[CellResult]
# Above so many cells intervals and labels would cover the points.
_CROWDED = 40
# Above so many lines only their median can be followed.
_MANY_LINES = 12


@dataclass(frozen=True)
class Series:
    """Which colour a cell has, and what the colours mean."""

    of: tuple[int, ...]
    """One a cell."""
    names: tuple[str, ...]
    """One a colour; empty where colours say nothing."""


def series_by(cells: Cells, axes: Sequence[str]) -> Series:
    """Cells coloured by one axis: the first with few enough values."""
    for name in axes:
        values = list(dict.fromkeys(str(row.axes.get(name, "")) for row in cells))
        if len(values) <= SERIES:
            of = tuple(values.index(str(row.axes.get(name, ""))) for row in cells)
            return Series(of, tuple(f"{short_axis(name)} {value}" for value in values))
    return Series((0,) * len(cells), ())


def legend(series: Series) -> Html | None:
    """The colours in words."""
    if len(series.names) < 2:
        return None
    items = [
        tag("span", tag("i", class_=f"s{index}"), name) for index, name in enumerate(series.names)
    ]
    return tag("p", *items, class_="keys")


def front(quality: Column, latency: Column) -> list[int]:
    """Return the cells with both intervals that no other cell dominates."""
    sign = 1.0 if quality.direction == Direction.HIGHER else -1.0
    points = {
        str(i): (_estimate(quality, i, sign), _estimate(latency, i))
        for i in _known(quality, latency)
    }
    return [int(name) for name in pareto(points)]


def _estimate(column: Column, index: int, sign: float = 1.0) -> Estimate:
    """Return a cell's value; ``sign`` -1 turns less into more."""
    interval = column.intervals[index]
    if interval is not None and not all(map(math.isfinite, interval)):
        interval = None
    ends = None if interval is None else sorted(sign * end for end in interval)
    return Estimate(sign * _at(column, index), None if ends is None else (ends[0], ends[1]))


def tradeoff(names: Sequence[str], quality: Column, latency: Column, series: Series) -> Html | None:
    """One quality figure of named points against latency; the front is filled and labelled."""
    known = _known(quality, latency)
    if len(known) < 2:
        return None
    x, y = plot_area(_reach(latency, known), _reach(quality, known))
    first = front(quality, latency)
    marks: list[Html] = []
    # The front last, so that nothing covers it.
    for index in sorted(known, key=lambda i: i in first):
        whiskers = len(known) <= _CROWDED or (index in first and len(first) <= _MANY_LINES)
        at = (x, y, quality, latency)
        marks.append(_point(index, names[index], at, series.of[index], index in first, whiskers))
    places = {i: (x(_at(latency, i)), y(_at(quality, i))) for i in known}
    marks += _labels(places, {i: names[i] for i in first if i in known})
    return tag(
        "figure",
        tag("figcaption", f"{quality.heading} against latency"),
        chart(x, y, latency.title, quality.title, marks),
        class_="plot",
    )


def scaling(cells: Cells, axes: Sequence[str], axis: str, column: Column) -> Html | None:
    """One figure along an axis of numbers; a line joins cells that differ in nothing else."""
    along = _positions(cells, axis)
    known = [i for i, v in enumerate(column.values) if v is not None and math.isfinite(v)]
    known = [i for i in known if i in along]
    if len({along[i] for i in known}) < 2:
        return None
    others = [name for name in axes if name != axis]
    x, y = plot_area([along[i] for i in known], _reach(column, known))
    series = series_by(cells, others)
    lines: dict[str, list[int]] = {}
    for index in known:
        lines.setdefault(label(cells[index], others), []).append(index)
    crowded = len(lines) > _MANY_LINES
    marks = [
        mark
        for members in lines.values()
        for mark in _line(
            sorted(members, key=along.__getitem__), x, y, column, along, series, not crowded
        )
    ]
    if crowded:
        marks.append(_median(known, x, y, column, along))
    ticks = sorted(set(along.values()))
    return tag(
        "figure",
        tag("figcaption", f"{column.heading} by {short_axis(axis)}",
            tag("span", ", thick: the median of all cells", class_="soft") if crowded else None),
        chart(x, y, _axis_title(axis), column.title, marks, ticks if len(ticks) <= 8 else None),
        legend(series),
        class_="plot crowded" if crowded else "plot",
    )  # fmt: skip


def _median(
    known: Sequence[int], x: Scale, y: Scale, column: Column, along: Mapping[int, float]
) -> Html:
    """A line through the median at each place of the axis."""
    values: dict[float, list[float]] = {}
    for index in known:
        values.setdefault(along[index], []).append(_at(column, index))
    return path([(x(at), y(median(values[at]))) for at in sorted(values)], class_="median-line")


def numeric_axes(cells: Cells, axes: Sequence[str]) -> list[str]:
    """Axes along which a figure can be plotted."""
    return [name for name in axes if len(set(_positions(cells, name).values())) > 1]


def _positions(cells: Cells, axis: str) -> dict[int, float]:
    """Where each cell lies on an axis, for those that do."""
    found = {}
    for index, row in enumerate(cells):
        at = position(axis, row.axes.get(axis))
        if at is not None:
            found[index] = at
    return found


def _axis_title(axis: str) -> str:
    return "pixels" if axis == "resolution" else short_axis(axis)


def _line(
    members: Sequence[int],
    x: Scale,
    y: Scale,
    column: Column,
    along: Mapping[int, float],
    series: Series,
    whiskers: bool,
) -> list[Html]:
    colour = f"s{series.of[members[0]]}"
    places = [(x(along[i]), y(_at(column, i))) for i in members]
    marks = [path(places, class_=f"joined {colour}")]
    for index, (left, top) in zip(members, places, strict=True):
        bars = _whisker(left, top, column.intervals[index], y) if whiskers else []
        radius = 3.5 if whiskers else 2
        dot = tag("circle", tag("title", column.text(index)), cx=left, cy=top, r=radius)
        marks.append(tag("g", *bars, dot, class_=f"point {colour}", data_cell=index))
    return marks


def _point(
    index: int,
    name: str,
    at: tuple[Scale, Scale, Column, Column],
    colour: int,
    first: bool,
    whiskers: bool,
) -> Html:
    x, y, quality, latency = at
    left, top = x(_at(latency, index)), y(_at(quality, index))
    bars: list[Html] = []
    slow = latency.intervals[index]
    if whiskers:
        bars += _whisker(left, top, quality.intervals[index], y)
    if whiskers and slow:
        bars.append(line(x(slow[0]), top, x(slow[1]), top, class_="ci"))
    words = f"{name}: {quality.text(index)}, {latency.text(index)}"
    dot = tag("circle", tag("title", words), cx=left, cy=top, r=5 if first else 4)
    kind = "point front" if first else "point"
    return tag("g", *bars, dot, class_=f"{kind} s{colour}", data_cell=index)


def _whisker(left: float, top: float, interval: Interval | None, y: Scale) -> list[Html]:
    """An interval; one that leaves out its value (a biased figure) is tied to it by dots."""
    if interval is None or not all(map(math.isfinite, interval)):
        return []
    low, high = y(interval[0]), y(interval[1])
    bars = [line(left, low, left, high, class_="ci")]
    if not high <= top <= low:
        near = min(low, high, key=lambda end: abs(end - top))
        bars.append(line(left, near, left, top, class_="ci tie"))
    return bars


def _labels(places: Mapping[int, tuple[float, float]], names: Mapping[int, str]) -> list[Html]:
    """Write names next to their points; a name that would cover another is left out."""
    taken = [(left - 5, top - 5, left + 5, top + 5) for left, top in places.values()]
    marks = []
    for index, name in sorted(names.items(), key=lambda item: places[item[0]]):
        left, top = places[index]
        width = text_width(name)
        right, back = left + 9, left - 9 - width
        for start, base in ((right, top + 4), (back, top + 4), (right, top - 8), (back, top - 8),
                            (right, top + 16), (back, top + 16)):  # fmt: skip
            box = (start, base - 11, start + width, base + 3)
            inside = start > 60 and box[2] < WIDTH - 2 and box[1] > 0
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                marks.append(tag("text", escape(name), class_="name", x=round(start, 1), y=base))
                break
    return marks


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _known(first: Column, second: Column) -> list[int]:
    pairs = enumerate(zip(first.values, second.values, strict=True))
    return [
        i for i, (a, b) in pairs if a is not None and b is not None
        and math.isfinite(a) and math.isfinite(b)
    ]  # fmt: skip


def _reach(column: Column, known: Sequence[int]) -> list[float]:
    """Values and the ends of their intervals."""
    ends = [end for i in known for end in (column.intervals[i] or ())]
    return [_at(column, i) for i in known] + ends


def _at(column: Column, index: int) -> float:
    value = column.values[index]
    assert value is not None
    return value
