"""Steps and slow drifts in a series of values, with a stated rate of false alarms.

A step is found by a maximally selected rank statistic (Lausen and Schumacher 1992): at each
possible step, the standardised difference of the ranks before and after it, over everything and
over windows of several widths, which also see a step that was taken back. The largest of them is
compared with random orders of the same values. A drift is found by the test of Mann (1945) and
Kendall (1975), and its slope by Theil (1950) and Sen (1968). Both tests use ranks, so that one
outlier changes little. Both assume values that are independent of one another while nothing
changes: successive values that depend on each other raise more false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from turbo_lab.analysis.stats import Interval, proportion_ci

Array = npt.NDArray[np.float64]
SHORTEST = 3
"""Fewest values between two steps."""
# Random orders of one test, and the numbers that they may need: 2 million take half a second.
_MOST_ORDERS, _FEWEST_ORDERS, _NUMBERS = 9_999, 1_999, 2_000_000
# A drift of more values is estimated from evenly spaced ones: Sen's slope needs all pairs.
_MOST_FOR_SLOPE = 400


@dataclass(frozen=True)
class Step:
    """A step from one level to another."""

    index: int
    """Index of the first value after the step."""
    before: float
    """Median of the values since the step before, or since the start."""
    after: float
    """Median of the values up to the next step, or to the end."""
    p_value: float
    """p-value of "there is no step"."""


@dataclass(frozen=True)
class Drift:
    """A steady change over many values."""

    start: int
    """Index of the first value."""
    end: int
    """Index after the last value."""
    first: float
    """Value of the fitted line at ``start``."""
    last: float
    """Value of the fitted line at the last value."""
    change_ci95: Interval
    """95% interval of ``last`` minus ``first``, from that of the slope."""
    p_value: float
    """p-value of "there is no trend"."""


@dataclass(frozen=True)
class Changes:
    """Everything that changed in a series."""

    steps: tuple[Step, ...]
    """Steps, in order."""
    drifts: tuple[Drift, ...]
    """Drifts between steps, in order."""


@dataclass(frozen=True)
class AlarmRate:
    """Share of simulated series in which a change was found."""

    rate: float
    """Share of the series."""
    ci95: Interval | None
    """95% interval of ``rate``; ``None``: too few series."""


def find_changes(values: Sequence[float], level: float) -> Changes:
    """Return the steps and drifts of a series.

    ``values``: finite, in order. ``level``: probability of any change in a series without one;
    each of the two tests has half of it. Raises ``ValueError`` for a value that is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if not np.isfinite(data).all():
        raise ValueError("values: must be finite")
    bounds, drifts = _split(data, 0, level)
    edges = [0, *(index for index, _ in bounds), len(data)]
    steps = [
        Step(
            index=index,
            before=float(np.median(data[edges[i] : index])),
            after=float(np.median(data[index : edges[i + 2]])),
            p_value=p_value,
        )
        for i, (index, p_value) in enumerate(bounds)
    ]
    return Changes(tuple(steps), tuple(drifts))


def simulate_alarms(
    num_values: int, level: float, runs: int, step: float = 0.0, seed: int = 0
) -> AlarmRate:
    """Return how often a change is found in normal noise, or in noise with one step.

    ``step``: height of a step after two thirds of the values, in standard deviations.
    """
    generator = np.random.default_rng(seed)
    start = num_values - num_values // 3
    found = []
    for _ in range(runs):
        values = generator.standard_normal(num_values)
        values[start:] += step
        changes = find_changes(values.tolist(), level)
        found.append(bool(changes.steps or changes.drifts))
    return AlarmRate(float(np.mean(found)), proportion_ci(found))


def _split(data: Array, start: int, level: float) -> tuple[list[tuple[int, float]], list[Drift]]:
    """Return the index and p-value of each step, and the drifts, of one stretch of the series."""
    if len(data) < 2 * SHORTEST or data.min() == data.max():
        return [], []
    step_p, at = _step_test(data)
    trend_p = float(scipy_stats.kendalltau(np.arange(len(data)), data).pvalue)
    is_step, is_trend = step_p < level / 2, trend_p < level / 2
    if not is_step and not is_trend:
        return [], []
    line = _line(data)
    if is_trend and (not is_step or _fits_better(data, line, at)):
        return [], [_drift(data, line, start, trend_p)]
    if not is_step:
        return [], []
    left, right = _split(data[:at], start, level), _split(data[at:], start + at, level)
    return [*left[0], (start + at, step_p), *right[0]], [*left[1], *right[1]]


def _step_test(data: Array) -> tuple[float, int]:
    """Return the p-value of the largest step, and the index of the first value after it."""
    ranks = scipy_stats.rankdata(data)
    sizes = _sizes(ranks[None, :])[0]
    largest = float(sizes.max())
    at = SHORTEST + int(sizes.argmax())
    orders = _orders(tuple(ranks.tolist()))
    # Equal statistics differ by rounding only.
    larger = len(orders) - int(np.searchsorted(orders, largest * (1 - 1e-12)))
    return (larger + 1) / (len(orders) + 1), at


def _sizes(ranks: Array) -> Array:
    """Return the largest standardised step at each place; ``ranks``: (orders, n).

    The first of the n - 2 * SHORTEST + 1 places is before index SHORTEST. The variances are those
    without ties: a constant factor for all orders.
    """
    n = ranks.shape[1]
    sums = np.concatenate(
        [np.zeros((len(ranks), 1)), np.cumsum(ranks - (n + 1) / 2, axis=1)], axis=1
    )
    at = np.arange(SHORTEST, n - SHORTEST + 1)
    sizes: Array = np.abs(sums[:, at]) / np.sqrt(at * (n - at) * (n + 1) / 12)
    width = SHORTEST
    while 2 * width <= n:
        middle = np.arange(width, n - width + 1)
        steps = sums[:, middle + width] - 2 * sums[:, middle] + sums[:, middle - width]
        steps = np.abs(steps) / np.sqrt(width * n * (n + 1) / 6)
        kept = sizes[:, width - SHORTEST : n - width - SHORTEST + 1]
        np.maximum(kept, steps, out=kept)
        width *= 2
    return sizes


@lru_cache(maxsize=256)
def _null_orders(n: int) -> Array:
    return _sorted_maxima(np.arange(1, n + 1, dtype=np.float64))


def _orders(ranks: tuple[float, ...]) -> Array:
    """Return the largest statistic of each random order, sorted; cached without ties."""
    values = np.sort(np.asarray(ranks))
    if np.array_equal(values, np.arange(1, len(values) + 1)):
        return _null_orders(len(values))
    return _sorted_maxima(values)


def _sorted_maxima(ranks: Array) -> Array:
    count = min(_MOST_ORDERS, max(_FEWEST_ORDERS, _NUMBERS // len(ranks)))
    generator = np.random.default_rng(0)
    maxima = []
    for _ in range(0, count, 500):
        shuffled = generator.permuted(np.tile(ranks, (min(500, count), 1)), axis=1)
        maxima.append(_sizes(shuffled).max(axis=1))
    return np.sort(np.concatenate(maxima)[:count])


def _line(data: Array) -> tuple[float, float, Interval]:
    """Return intercept, slope and the slope's 95% interval, by Theil and Sen."""
    at = np.arange(len(data))
    if len(data) > _MOST_FOR_SLOPE:
        at = np.unique(np.linspace(0, len(data) - 1, _MOST_FOR_SLOPE).round().astype(int))
    slope, intercept, low, high = scipy_stats.theilslopes(data[at], at)
    return float(intercept), float(slope), (float(low), float(high))


def _fits_better(data: Array, line: tuple[float, float, Interval], at: int) -> bool:
    """Return whether a line is nearer to the values than two levels with a step at ``at``."""
    intercept, slope, _ = line
    along = np.abs(data - intercept - slope * np.arange(len(data))).sum()
    levels = sum(np.abs(side - np.median(side)).sum() for side in (data[:at], data[at:]))
    return bool(along < levels)


def _drift(data: Array, line: tuple[float, float, Interval], start: int, p_value: float) -> Drift:
    intercept, slope, (low, high) = line
    steps = len(data) - 1
    return Drift(
        start=start,
        end=start + len(data),
        first=intercept,
        last=intercept + slope * steps,
        change_ci95=(low * steps, high * steps),
        p_value=p_value,
    )
