"""The page of a history: every figure by entry, with its band, steps and drifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from turbo_lab.documents.history import (
    HistoryChange,
    HistoryPoint,
    HistorySeries,
    HistoryShown,
    is_worse,
)
from turbo_lab.report.history import (
    change_line,
    last_change,
    number_text,
    outcome,
    point_name,
    scaled,
    unit_name,
)
from turbo_lab.report.html.page import Heading, Html, page, pill, section, table, tag
from turbo_lab.report.html.svg import Scale, chart, line, mark, path, plot_area

# With more points, dots would cover the line.
_MOST_DOTS = 120


def history_page(shown: HistoryShown) -> str:
    """Return the page of a history."""
    links = [("figures", "Figures"), ("plots", "Plots")]
    plots = [_plot(series, f"s{index}") for index, series in enumerate(shown.series)]
    return page(
        "History",
        None,
        section("figures", "Figures", _table(shown), note=outcome(shown)),
        section("plots", "Plots", tag("div", *plots, class_="plots")),
        kind="turbo-lab history",
        links=links,
        scripts=("tips",),
    )


def _table(shown: HistoryShown) -> Html:
    columns = [
        Heading("figure"),
        Heading("of"),
        Heading("measured on"),
        Heading("entries", is_number=True),
        Heading("latest", is_number=True),
        Heading("last change"),
    ]
    rows = [
        [
            tag("a", series.name, href=f"#s{index}"),
            series.subject,
            series.place,
            len(series.points),
            number_text(series.points[-1].value, series.unit, series.points[-1].ci95),
            _change_cell(series),
        ]
        for index, series in enumerate(shown.series)
    ]
    return table(columns, rows, class_="cards")


def _change_cell(series: HistorySeries) -> Html:
    if not series.changes:
        return tag("span", last_change(series), class_="soft")
    return pill("regression" if is_worse(series) else "pass", last_change(series))


def _plot(series: HistorySeries, identity: str) -> Html:
    """Return the plot of one series with its caption and its changes."""
    changes = [tag("li", change_line(series, change)) for change in series.changes]
    return tag(
        "figure",
        tag("figcaption", _caption(series), " ", tag("span", series.subject, class_="soft")),
        _chart(series),
        tag("ul", *changes) if changes else None,
        id=identity,
        class_="plot",
    )


def _caption(series: HistorySeries) -> str:
    return f"{series.name}, {unit}" if (unit := unit_name(series.unit)) else series.name


def _chart(series: HistorySeries) -> Html:
    points = [_scaled(point, series.unit) for point in series.points]
    ys = [point.value for point in points]
    ys += [end for point in points for end in point.ci95 or ()]
    x, y = plot_area([0, max(1, len(points) - 1)], ys)
    places = [(x(i), y(point.value)) for i, point in enumerate(points)]
    marks = [_band(points, x, y)] if len(points) > 1 else []
    if len(places) > 1:
        marks.append(path(places, class_="s0 series"))
    if len(places) <= _MOST_DOTS:
        marks += [
            _dot(point, place, series.unit)
            for point, place in zip(series.points, places, strict=True)
        ]
    marks += [mark for change in series.changes for mark in _marks(change, x, y, series.unit)]
    return chart(
        x,
        y,
        x_title=f"{point_name(points[0])} to {point_name(points[-1])}",
        y_title=series.name,
        marks=marks,
        x_ticks=[],
    )


def _scaled(point: HistoryPoint, unit: str) -> HistoryPoint:
    """Return a point in the unit that people read; an endless interval is left out."""
    ends = point.ci95 if point.ci95 is not None and all(map(isfinite, point.ci95)) else None
    ci95 = None if ends is None else (scaled(ends[0], unit), scaled(ends[1], unit))
    return replace(point, value=scaled(point.value, unit), ci95=ci95)


def _band(points: Sequence[HistoryPoint], x: Scale, y: Scale) -> Html:
    """Return the intervals as one area; a point without one has no height there."""
    ends = [point.ci95 or (point.value, point.value) for point in points]
    lower = [(x(i), y(low)) for i, (low, _) in enumerate(ends)]
    upper = [(x(i), y(high)) for i, (_, high) in enumerate(ends)]
    return path([*lower, *reversed(upper)], class_="s0 band")


def _dot(point: HistoryPoint, place: tuple[float, float], unit: str) -> Html:
    text = f"{point_name(point)}: {number_text(point.value, unit, point.ci95)}"
    return mark(text, tag("circle", cx=place[0], cy=place[1], r=3), class_="point s0")


def _marks(change: HistoryChange, x: Scale, y: Scale, unit: str) -> list[Html]:
    """Return a vertical line at a step, or the fitted line of a drift."""
    class_ = "change worse" if change.is_worse else "change"
    if change.kind == "drift":
        ends = [
            (x(change.first), y(scaled(change.before, unit))),
            (x(change.last), y(scaled(change.after, unit))),
        ]
        return [path(ends, class_=class_)]
    at = round((x(change.first) + x(change.last)) / 2, 1)
    return [line(at, y.start, at, y.end, class_=class_)]
