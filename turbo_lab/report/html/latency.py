"""Latency distributions: all timed calls of all cells on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from turbo_lab.analysis.digits import significant
from turbo_lab.documents.sweep import CellResult
from turbo_lab.report.columns import CellDetails, distinct, label
from turbo_lab.report.html.page import Html, join, scroll_class, tag
from turbo_lab.report.html.svg import Scale, fit, line
from turbo_lab.store.record import LatencySummary

_WIDTH = 1000
# More marks than this on one strip cannot be distinguished.
_MOST_MARKS = 200
Cells = Sequence[CellResult]


def latency_strips(
    cells: Cells, axes: Sequence[str], details: Mapping[str, CellDetails]
) -> Html | None:
    """Return one strip per timed cell, the fastest first: calls, median and its interval."""
    timed = {i: row.latency_s for i, row in enumerate(cells) if row.latency_s is not None}
    if not timed:
        return None
    samples = {i: _samples(details.get(cells[i].record_id)) for i in timed}
    values = [ms for marks in samples.values() for ms in marks]
    for latency in timed.values():
        values += [1e3 * seconds for seconds in (latency.p50, *(latency.ci95 or ()))]
    scale = fit(values, 0, _WIDTH)
    order = sorted(timed, key=lambda i: timed[i].p50)
    rows = [
        _row(i, label(cells[i], axes), latency=timed[i], samples=samples[i], scale=scale)
        for i in order
    ]
    return tag("div", _ruler(scale), *rows, class_=f"strips {scroll_class(len(rows))}")


def _samples(found: CellDetails | None) -> list[float]:
    """Return the calls in milliseconds; evenly spaced quantiles if there are many."""
    if found is None or not found.samples_s:
        return []
    values = np.sort(np.asarray(found.samples_s, dtype=np.float64)) * 1e3
    if len(values) > _MOST_MARKS:
        values = np.quantile(values, np.linspace(0, 1, _MOST_MARKS))
    return [float(value) for value in values]


def _ruler(scale: Scale) -> Html:
    edge = "1.4em"  # half a label: the first and the last one would be cut off
    at = [(value, f"{scale(value) / _WIDTH:.1%}") for value in scale.ticks()]
    ticks = [
        tag("span", f"{value:.6g}", style=f"left:clamp({edge}, {left}, 100% - {edge})")
        for value, left in at
    ]
    return tag(
        "div", tag("span", "ms per call"), tag("div", *ticks, class_="ticks"), class_="ruler"
    )


def _row(
    index: int, name: str, *, latency: LatencySummary, samples: Sequence[float], scale: Scale
) -> Html:
    marks = [line(scale(value), 5, scale(value), 19, class_="call") for value in samples]
    if latency.ci95 is not None:
        low, high = (scale(1e3 * bound) for bound in latency.ci95)
        width = round(high - low, 1)
        marks.insert(0, tag("rect", x=low, y=2, width=width, height=20, class_="band"))
    median = scale(1e3 * latency.p50)
    marks.append(line(median, 0, median, 24, class_="median"))
    words = _words(latency)
    strip = tag(
        "svg",
        *marks,
        viewBox=f"0 0 {_WIDTH} 24",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{name}: {words}",
    )
    about = tag("span", words, class_="soft")
    return tag("div", tag("span", name), strip, about, class_="strip", data_cell=index)


def _words(latency: LatencySummary) -> str:
    shown = [("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99)]
    parts = [f"{name} {significant(1e3 * value)}" for name, value in shown if value is not None]
    return f"{' · '.join(parts)} · n {latency.n}"


def stage_note(cells: Cells) -> Html:
    """Return how to read the strips, and warnings about the timing."""
    timings = [row.timing for row in cells if row.timing is not None]
    warnings = distinct(text for timing in timings for text in timing.warnings)
    parts: list[object] = [
        "Each mark is one call. The long mark is the median; the band is its 95% interval."
    ]
    parts += [tag("br"), tag("span", "; ".join(warnings), class_="warn")] * bool(warnings)
    return join(*parts)
