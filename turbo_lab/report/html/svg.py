"""Plots as inline SVG: scales, axes and marks.

Colours are CSS classes (``s0`` to ``s7``), so that the theme of the page decides them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from turbo_lab.report.html.page import Html, tag

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 12, 44
SERIES = 8
# From this ratio of the ends, a range is easier to read on a logarithmic axis.
_LOG_RATIO = 12
# Beyond these limits a range is caused by rounding, and its ticks could not be distinguished.
_NO_RATIO, _NO_ROOM = 1e15, 1e-12


@dataclass(frozen=True)
class Scale:
    """Linear or logarithmic mapping from values to pixels."""

    low: float
    """Value at ``start``."""
    high: float
    """Value at ``end``; above ``low``."""
    start: float
    """Pixel of ``low``."""
    end: float
    """Pixel of ``high``; may be smaller than ``start``."""
    log: bool = False
    """``True`` for a logarithmic scale."""

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, rounded to a tenth."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(at, low * 1e-9))
        share = (at - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Return four to seven round values within the scale."""
        if self.log:
            return _log_ticks(self.low, self.high)
        return _ticks(self.low, self.high)


def fit(
    values: Iterable[float],
    start: float,
    end: float,
    log: bool | None = None,
    from_zero: bool = True,
) -> Scale:
    """Return a scale that covers all values with a little room.

    ``log``: ``None`` decides by the ratio of the ends. ``from_zero``: the room does not extend
    below 0 if no value does.
    """
    known = [v for v in values if math.isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    ratio = high / low if low > 0 else math.inf
    log = (ratio >= _LOG_RATIO if log is None else log) and ratio < _NO_RATIO
    if log:
        room = (high / low) ** 0.06 if high > low else 1.5
        return Scale(low / room, high * room, start, end, log=True)
    room = 0.06 * (high - low)
    if room <= _NO_ROOM * max(abs(low), abs(high), 1.0):
        room = 0.1 * abs(high) if abs(high) > _NO_ROOM else 1.0
    bottom = low - room
    return Scale(0.0 if from_zero and low >= 0 > bottom else bottom, high + room, start, end)


def plot_area(xs: Iterable[float], ys: Iterable[float]) -> tuple[Scale, Scale]:
    """Return the two scales of a plot, with room for the axes."""
    return (
        fit(xs, _LEFT, WIDTH - _RIGHT, from_zero=False),
        fit(ys, HEIGHT - _BOTTOM, _TOP, log=False),
    )


def chart(
    x: Scale,
    y: Scale,
    *,
    x_title: str,
    y_title: str,
    marks: Sequence[Html],
    x_ticks: Sequence[float] | None = None,
) -> Html:
    """Return marks with their axes.

    ``y_title`` is for screen readers: the caption above the plot shows it.
    """
    ticks = x.ticks() if x_ticks is None else x_ticks
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return tag(
        "svg",
        *(_gridline(y, value) for value in y.ticks()),
        *(_tick(x, value) for value in ticks),
        line(_LEFT, HEIGHT - _BOTTOM, WIDTH - _RIGHT, HEIGHT - _BOTTOM, class_="axis"),
        tag("text", x_title, class_="title", x=middle, y=HEIGHT - 6, text_anchor="middle"),
        *marks,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="chart",
        aria_label=f"{y_title} against {x_title}",
    )


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Html:
    """Return a straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def path(points: Sequence[tuple[float, float]], **attributes: object) -> Html:
    """Return a line through points."""
    text = "M" + "L".join(f"{x},{y}" for x, y in points)
    return tag("path", d=text, **attributes)


def mark(words: str, *shapes: Html, **attributes: object) -> Html:
    """Return the shapes of one point, which shows ``words`` when it is pointed at or focused."""
    return tag("g", *shapes, role="img", aria_label=words, data_tip=words, **attributes)


def text_width(text: str) -> float:
    """Return a generous estimate of the width of a label: narrow screens show larger letters."""
    return 7.2 * len(text)


def _gridline(y: Scale, value: float) -> Html:
    at = y(value)
    return tag(
        "g",
        line(_LEFT, at, WIDTH - _RIGHT, at, class_="grid"),
        tag("text", f"{value:.6g}", x=_LEFT - 7, y=at + 4, text_anchor="end"),
    )


def _tick(x: Scale, value: float) -> Html:
    return tag("text", f"{value:.6g}", x=x(value), y=HEIGHT - _BOTTOM + 17, text_anchor="middle")


def _ticks(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten, without rounding errors."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [float(f"{(first + i) * step:.10g}") for i in range(count)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of each decade, or only the powers of ten if there are many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high]
        if len(found) <= 7:
            return found
    return found[:: math.ceil(len(found) / 7)]
