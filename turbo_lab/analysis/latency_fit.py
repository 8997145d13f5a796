"""Growth of latency along an axis: a fixed cost, and a cost per image, step or pixel.

Owns the position of a cell on a numeric axis, and the straight line through the
latencies of cells that differ along that axis only. Refuses a line through two points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from turbo_lab.analysis.digits import significant
from turbo_lab.analysis.stats import t_quantile

Interval = tuple[float, float]
UNITS: Mapping[str, tuple[str, float]] = {
    "batch_size": ("image", 1.0),
    "num_inference_steps": ("step", 1.0),
    "resolution": ("1,000 pixels", 1e3),
}
"""Axes along which latency grows linearly, each with the name and the size of its unit."""


@dataclass(frozen=True)
class LineFit:
    """``fixed_s + per_unit_s * x`` by least squares, with 95% intervals (Student's t)."""

    axis: str
    """Key that the line is along."""
    where: Mapping[str, object]
    """Values of the other axes; empty if there are none."""
    unit: str
    """Unit of ``x``, as shown to people."""
    fixed_s: float
    """Latency at x = 0, in seconds."""
    fixed_ci95: Interval
    """95% interval of ``fixed_s``."""
    per_unit_s: float
    """Latency per unit of ``x``, in seconds."""
    per_unit_ci95: Interval
    """95% interval of ``per_unit_s``."""
    r_squared: float
    """Share of the variance that the line explains."""
    n: int
    """Number of points."""

    @property
    def text(self) -> str:
        """``18 ms (17 to 19) + 13 ms (12.9 to 13.2) for each image``."""

        def ms(value: float, ci95: Interval) -> str:
            middle, low, high = (significant(1e3 * one, 3) for one in (value, *ci95))
            return f"{middle} ms ({low} to {high})"

        fixed, each = ms(self.fixed_s, self.fixed_ci95), ms(self.per_unit_s, self.per_unit_ci95)
        return f"{fixed} + {each} for each {self.unit}, R\N{SUPERSCRIPT TWO} {self.r_squared:.3f}"


def position(axis: str, value: object) -> float | None:
    """Return the position of a value on its axis: a size by its pixels.

    ``None`` for words and seeds.
    """
    if axis == "resolution":
        width, _, height = str(value).partition("x")
        return float(int(width) * int(height or width))
    if not isinstance(value, (int, float)) or isinstance(value, bool) or axis == "seed":
        return None
    return float(value)


class TimedCell(Protocol):
    """A cell with its place in the grid and the latency of a call."""

    @property
    def axes(self) -> Mapping[str, object]:
        """Values of the keys that vary, by key."""

    @property
    def batch_size(self) -> int | None:
        """Number of images that a call generated; ``None`` if the cell failed."""

    @property
    def median_s(self) -> float | None:
        """Median latency, in seconds; ``None`` if the cell failed."""


def place(axis: str, cell: TimedCell) -> float | None:
    """Return a timed cell's position; on the axis ``batch_size``, its images per call."""
    is_batch = axis == "batch_size" and cell.batch_size is not None
    return position(axis, cell.batch_size if is_batch else cell.axes[axis])


def fits(cells: Sequence[TimedCell]) -> list[LineFit]:
    """Fit a line through the medians of three or more cells that differ along one axis only."""
    timed = [(cell, median) for cell in cells if (median := cell.median_s) is not None]
    found = []
    for axis in dict.fromkeys(name for cell, _ in timed for name in cell.axes if name in UNITS):
        groups: dict[tuple[tuple[str, object], ...], list[tuple[float, float]]] = {}
        for cell, median in timed:
            others = tuple((k, v) for k, v in cell.axes.items() if k != axis)
            at = place(axis, cell)
            assert at is not None
            groups.setdefault(others, []).append((at, median))
        found += [
            fit
            for others, points in groups.items()
            if (fit := _fit(axis, dict(others), points)) is not None
        ]
    return found


def _fit(
    axis: str, where: Mapping[str, object], points: Sequence[tuple[float, float]]
) -> LineFit | None:
    """Fit one line; returns ``None`` for fewer than three positions, as two always fit."""
    unit, size = UNITS[axis]
    x, y = (np.asarray(values, dtype=np.float64) for values in zip(*points, strict=True))
    x = x / size
    if len(set(x.tolist())) < 3:
        return None
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    fixed = float(y.mean() - slope * x.mean())
    residual = float(((y - fixed - slope * x) ** 2).sum())
    degrees = len(x) - 2
    noise = math.sqrt(residual / degrees)
    t = t_quantile(0.975, degrees)
    slope_half = t * noise / math.sqrt(spread)
    fixed_half = t * noise * math.sqrt(1 / len(x) + float(x.mean()) ** 2 / spread)
    total = float(((y - y.mean()) ** 2).sum())
    return LineFit(
        axis=axis,
        where=where,
        unit=unit,
        fixed_s=fixed,
        fixed_ci95=(fixed - fixed_half, fixed + fixed_half),
        per_unit_s=slope,
        per_unit_ci95=(slope - slope_half, slope + slope_half),
        r_squared=1 - residual / total if total else 1.0,
        n=len(x),
    )
