"""Plots of a sweep's page: quality against latency, and metrics along an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from turbo_lab.analysis.latency_fit import position
from turbo_lab.analysis.pareto import Estimate, pareto
from turbo_lab.documents.sweep import CellResult
from turbo_lab.report.columns import Column, Interval, label, short_axis
from turbo_lab.report.html.page import Html, tag
from turbo_lab.report.html.svg import (
    SERIES,
    WIDTH,
    Scale,
    chart,
    line,
    mark,
    path,
    plot_area,
    text_width,
)
from turbo_lab.verdict import Direction

Cells = Sequence[CellResult]
# With more cells than this, intervals and labels would cover the points.
_CROWDED = 40
# With more lines than this, only their median can be followed.
_MANY_LINES = 12


@dataclass(frozen=True)
class Series:
    """Colours of the cells, and their meaning."""

    of: tuple[int, ...]
    """Number of the colour of each cell."""
    names: tuple[str, ...]
    """Meaning of each colour; empty if colours have none."""


@dataclass(frozen=True)
class _Area:
    """Area of a plot, and what is drawn in it."""

    x: Scale
    """Horizontal scale."""
    y: Scale
    """Vertical scale."""
    column: Column
    """Metric on the vertical axis."""
    series: Series
    """Colours of the cells."""
    names: Sequence[str]
    """Names of the cells."""
    has_whiskers: bool
    """``True`` if every point shows its interval."""


def series_by(cells: Cells, axes: Sequence[str]) -> Series:
    """Return the colours of the cells by the first axis that has few enough values."""
    for name in axes:
        values = list(dict.fromkeys(str(row.axes.get(name, "")) for row in cells))
        if len(values) <= SERIES:
            of = tuple(values.index(str(row.axes.get(name, ""))) for row in cells)
            return Series(of, tuple(f"{short_axis(name)} {value}" for value in values))
    return Series((0,) * len(cells), ())


def legend(series: Series) -> Html | None:
    """Return the colours with their meaning; ``None`` if there is only one."""
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
    """Return a cell's value with its interval; a ``sign`` of -1 makes larger values better."""
    interval = column.intervals[index]
    if interval is not None and not all(map(math.isfinite, interval)):
        interval = None
    ends = None if interval is None else sorted(sign * end for end in interval)
    return Estimate(sign * _at(column, index), None if ends is None else (ends[0], ends[1]))


def tradeoff(names: Sequence[str], quality: Column, latency: Column, series: Series) -> Html | None:
    """Return a plot of one metric against latency; points on the front are filled and labelled."""
    known = _known(quality, latency)
    if len(known) < 2:
        return None
    x, y = plot_area(_reach(latency, known), _reach(quality, known))
    first = front(quality, latency)
    all_whiskers = len(known) <= _CROWDED
    has_whiskers = all_whiskers or len(first) <= _MANY_LINES
    area = _Area(x, y, quality, series, names, has_whiskers=has_whiskers)
    marks: list[Html] = []
    # The front is drawn last, so that nothing covers it.
    for index in sorted(known, key=lambda i: i in first):
        is_first = index in first
        shown = area if all_whiskers or is_first else replace(area, has_whiskers=False)
        marks.append(_point(shown, latency, index, is_first=is_first))
    places = {i: (x(_at(latency, i)), y(_at(quality, i))) for i in known}
    marks += _labels(places, {i: names[i] for i in first if i in known})
    return tag(
        "figure",
        tag("figcaption", f"{quality.heading} against latency"),
        chart(x, y, x_title=latency.title, y_title=quality.title, marks=marks),
        class_="plot",
    )


def scaling(cells: Cells, axes: Sequence[str], axis: str, column: Column) -> Html | None:
    """Return a plot of one metric along a numeric axis.

    A line joins cells that differ in nothing else. With many lines, their median is added.
    """
    along = _positions(cells, axis)
    known = [i for i, v in enumerate(column.values) if v is not None and math.isfinite(v)]
    known = [i for i in known if i in along]
    if len({along[i] for i in known}) < 2:
        return None
    others = [name for name in axes if name != axis]
    lines: dict[str, list[int]] = {}
    for index in known:
        lines.setdefault(label(cells[index], others), []).append(index)
    is_crowded = len(lines) > _MANY_LINES
    x, y = plot_area([along[i] for i in known], _reach(column, known))
    names = [label(row, axes) for row in cells]
    area = _Area(x, y, column, series_by(cells, others), names, has_whiskers=not is_crowded)
    marks = [one for members in lines.values() for one in _line(area, along, members)]
    if is_crowded:
        marks.append(_median(area, along, known))
    ticks = sorted(set(along.values()))
    few_ticks = ticks if len(ticks) <= 8 else None
    caption = f"{column.heading} by {short_axis(axis)}"
    thick = tag("span", " (thick line: median of all cells)", class_="soft")
    return tag(
        "figure",
        tag("figcaption", caption, thick if is_crowded else None),
        chart(
            x, y, x_title=_axis_title(axis), y_title=column.title, marks=marks, x_ticks=few_ticks
        ),
        legend(area.series),
        class_="plot crowded" if is_crowded else "plot",
    )


def _median(area: _Area, along: Mapping[int, float], known: Sequence[int]) -> Html:
    """Return a line through the median at each place of the axis."""
    values: dict[float, list[float]] = {}
    for index in known:
        values.setdefault(along[index], []).append(_at(area.column, index))
    points = [(area.x(at), area.y(median(values[at]))) for at in sorted(values)]
    return path(points, class_="median-line")


def numeric_axes(cells: Cells, axes: Sequence[str]) -> list[str]:
    """Return the axes along which a metric can be plotted."""
    return [name for name in axes if len(set(_positions(cells, name).values())) > 1]


def _positions(cells: Cells, axis: str) -> dict[int, float]:
    """Return the place of each cell on a numeric axis, for the cells that have one."""
    found = {}
    for index, row in enumerate(cells):
        at = position(axis, row.axes.get(axis))
        if at is not None:
            found[index] = at
    return found


def _axis_title(axis: str) -> str:
    return "pixels" if axis == "resolution" else short_axis(axis)


def _line(area: _Area, along: Mapping[int, float], members: Sequence[int]) -> list[Html]:
    ordered = sorted(members, key=along.__getitem__)
    colour = f"s{area.series.of[ordered[0]]}"
    places = [(area.x(along[i]), area.y(_at(area.column, i))) for i in ordered]
    cells = " ".join(map(str, ordered))
    marks = [path(places, class_=f"joined {colour}", data_cells=cells)]
    for index, (left, top) in zip(ordered, places, strict=True):
        interval = area.column.intervals[index] if area.has_whiskers else None
        bars = _whisker(left, top, interval, area.y)
        radius = 3.5 if area.has_whiskers else 2
        dot = tag("circle", cx=left, cy=top, r=radius)
        words = f"{area.names[index]}: {area.column.text(index)}"
        marks.append(mark(words, *bars, dot, class_=f"point {colour}", data_cell=index))
    return marks


def _point(area: _Area, latency: Column, index: int, *, is_first: bool) -> Html:
    x, y, quality = area.x, area.y, area.column
    left, top = x(_at(latency, index)), y(_at(quality, index))
    bars: list[Html] = []
    if area.has_whiskers:
        bars += _whisker(left, top, quality.intervals[index], y)
        if slow := latency.intervals[index]:
            bars.append(line(x(slow[0]), top, x(slow[1]), top, class_="ci"))
    words = f"{area.names[index]}: {quality.text(index)}, {latency.text(index)}"
    dot = tag("circle", cx=left, cy=top, r=5 if is_first else 4)
    kind = "point front" if is_first else "point"
    colour = f"s{area.series.of[index]}"
    return mark(words, *bars, dot, class_=f"{kind} {colour}", data_cell=index)


def _whisker(left: float, top: float, interval: Interval | None, y: Scale) -> list[Html]:
    """Return an interval; dots connect it to its value if it leaves the value out."""
    if interval is None or not all(map(math.isfinite, interval)):
        return []
    low, high = y(interval[0]), y(interval[1])
    bars = [line(left, low, left, high, class_="ci")]
    if not high <= top <= low:
        near = min(low, high, key=lambda end: abs(end - top))
        bars.append(line(left, near, left, top, class_="ci tie"))
    return bars


def _labels(places: Mapping[int, tuple[float, float]], names: Mapping[int, str]) -> list[Html]:
    """Return the names next to their points; a name that would cover another is left out."""
    taken = [(left - 5, top - 5, left + 5, top + 5) for left, top in places.values()]
    marks = []
    for index, name in sorted(names.items(), key=lambda item: places[item[0]]):
        left, top = places[index]
        width = text_width(name)
        starts, bases = (left + 9, left - 9 - width), (top + 4, top - 8, top + 16)
        for start, base in ((start, base) for base in bases for start in starts):
            box = (start, base - 11, start + width, base + 3)
            is_inside = start > 60 and box[2] < WIDTH - 2 and box[1] > 0
            if is_inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                at = round(start, 1)
                marks.append(tag("text", name, class_="name", x=at, y=base, data_cell=index))
                break
    return marks


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _known(first: Column, second: Column) -> list[int]:
    pairs = enumerate(zip(first.values, second.values, strict=True))
    return [i for i, values in pairs if all(v is not None and math.isfinite(v) for v in values)]


def _reach(column: Column, known: Sequence[int]) -> list[float]:
    """Return the values and the ends of their intervals."""
    ends = [end for i in known for end in (column.intervals[i] or ())]
    return [_at(column, i) for i in known] + ends


def _at(column: Column, index: int) -> float:
    value = column.values[index]
    assert value is not None
    return value
