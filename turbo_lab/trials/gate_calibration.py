"""The gate against itself: how often equal pipelines fail, and which margins hold.

From a pool of per-image figures (several seeds a prompt) two disjoint seed sets
are drawn again and again and put through the gate's own rule, as if one were a
candidate and the other its baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab import stats
from turbo_lab.errors import InputError
from turbo_lab.policy import QualityRule

RESAMPLES = 1000
# A margin is refused where equal pipelines would pass it less often than this.
_WANTED_PASSES = 0.8


@dataclass(frozen=True)
class MetricCalibration:
    """One figure's margin against the noise of seeds."""

    name: str
    """Of the figure."""
    margin: float
    """The policy's."""
    passes: float
    """Share of the resamples in which equal pipelines pass."""
    smallest_margin: float
    """At which they pass four times in five."""
    holds: bool
    """Whether the margin is at least that."""


@dataclass(frozen=True)
class GateCalibration:
    """What equal pipelines come to."""

    false_alarms: int
    """Resamples in which some figure was a regression, over all checks together."""
    resamples: int
    """All of them."""
    rate_ci95: tuple[float, float]
    """Of the false-alarm rate (Wilson)."""
    metrics: tuple[MetricCalibration, ...]
    """By figure."""


def calibrate_gate(
    pool: Mapping[str, np.ndarray],
    rules: Mapping[str, QualityRule],
    directions: Mapping[str, stats.Direction],
    images_a_prompt: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alpha: float = 0.05,
) -> GateCalibration:
    """``pool``: by metric, (prompts, seeds) values; at least twice ``images_a_prompt`` seeds.

    Raises :class:`InputError` for too few seeds.
    """
    prompts, seeds = next(iter(pool.values())).shape
    if seeds < 2 * images_a_prompt:
        raise InputError(
            f"gate calibrate: {seeds} seeds a prompt; two disjoint sets of {images_a_prompt} need "
            f"{2 * images_a_prompt}"
        )
    generator = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(prompts), images_a_prompt).tolist()
    alarms, bounds = 0, {name: np.empty(resamples) for name in pool}
    for index in range(resamples):
        order = generator.permuted(np.tile(np.arange(seeds), (prompts, 1)), axis=1)
        sides = order[:, :images_a_prompt], order[:, images_a_prompt : 2 * images_a_prompt]
        p_values = []
        beyond = []
        for name, values in pool.items():
            first, second = (np.take_along_axis(values, s, axis=1).ravel() for s in sides)
            rule, direction = rules[name], directions[name]
            direction = "none" if rule.two_sided else direction
            ci95 = stats.bootstrap_difference_ci(first, second, clusters, seed=index)
            bounds[name][index] = _needed_margin(ci95, direction)
            is_beyond = stats.verdict(ci95, rule.margin, direction) == "regression"
            beyond.append(is_beyond)
            p_values.append(_p(first, second, rule.margin, direction, clusters) if is_beyond else 1)
        adjusted = stats.holm(p_values)
        alarms += any(b and p <= alpha for b, p in zip(beyond, adjusted, strict=True))
    outcomes = np.zeros(resamples)
    outcomes[:alarms] = 1
    interval = stats.proportion_ci(outcomes)
    assert interval is not None
    found = tuple(_metric(name, rules[name].margin, bounds[name]) for name in pool)
    return GateCalibration(alarms, resamples, interval, found)


def _needed_margin(ci95: stats.Interval | None, direction: stats.Direction) -> float:
    """The smallest margin at which an interval would pass."""
    if ci95 is None:
        return float("inf")
    low, high = ci95
    worst = {"higher": -low, "lower": high, "none": max(-low, high)}[direction]
    return max(0.0, worst)


def _p(
    first: np.ndarray,
    second: np.ndarray,
    margin: float,
    direction: stats.Direction,
    clusters: Sequence[int],
) -> float:
    below = stats.permutation_test(first + margin, second, clusters, "less")
    above = stats.permutation_test(first - margin, second, clusters, "greater")
    both = min(1.0, 2 * min(below, above))
    return {"higher": below, "lower": above, "none": both}[direction]


def _metric(name: str, margin: float, needed: np.ndarray) -> MetricCalibration:
    smallest = float(np.quantile(needed, _WANTED_PASSES))
    return MetricCalibration(name, margin, float((needed <= margin).mean()), smallest,
                             margin >= smallest)  # fmt: skip
