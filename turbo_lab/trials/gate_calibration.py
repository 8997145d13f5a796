"""The gate against itself: how often equal pipelines fail, and which margins hold.

From a pool of per-image figures (several seeds a prompt) two disjoint seed sets
are drawn again and again and put through the gate's own rule, as if one were a
candidate and the other its baseline. Real candidates share their seeds with the
baseline, so that this is the most noise a gate can meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from turbo_lab import stats
from turbo_lab.errors import InputError
from turbo_lab.policy import QualityRule

if TYPE_CHECKING:
    from turbo_lab.metrics.reference import Reference

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
    power: float | None
    """Share in which a loss of twice the margin is called a regression; ``None``: not asked."""


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


@dataclass(frozen=True)
class _Draw:
    """One figure of one pair of seed sets."""

    alarm_p: float
    """Of "within the margin"; 1 where the interval is not beyond it."""
    needed_margin: float
    """The smallest at which the pair passes."""
    loss_p: float
    """As ``alarm_p``, with a loss of twice the margin put in."""


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
    _check_seeds(seeds, images_a_prompt)
    generator = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(prompts), images_a_prompt).tolist()
    alarms, draws = 0, {name: list[_Draw]() for name in pool}
    for index in range(resamples):
        sides = _disjoint(generator, prompts, seeds, images_a_prompt)
        for name, values in pool.items():
            first, second = (np.take_along_axis(values, s, axis=1).ravel() for s in sides)
            drawn = _draw(first, second, rules[name], directions[name], clusters, index)
            draws[name].append(drawn)
        adjusted = stats.holm([found[-1].alarm_p for found in draws.values()])
        alarms += bool((adjusted <= alpha).any())
    outcomes = np.zeros(resamples)
    outcomes[:alarms] = 1
    interval = stats.proportion_ci(outcomes)
    assert interval is not None
    metrics = []
    for name, found in draws.items():
        # By the first step of Holm's: the others pass.
        caught = np.mean([len(pool) * draw.loss_p <= alpha for draw in found])
        needed = np.array([draw.needed_margin for draw in found])
        metrics.append(_metric(name, rules[name].margin, needed, float(caught)))
    return GateCalibration(alarms, resamples, interval, tuple(metrics))


def calibrate_distance(
    name: str,
    features: np.ndarray,
    reference: Reference,
    margin: float,
    resamples: int = 100,
    seed: int = 0,
) -> MetricCalibration:
    """The same of a Fréchet distance's difference; ``features``: (prompts, seeds, d).

    Raises :class:`InputError` for fewer than two seeds, and fewer prompts than features.
    """
    from turbo_lab.metrics.frechet import difference_interval

    prompts, seeds, d = features.shape
    _check_seeds(seeds, 1)
    generator, needed = np.random.default_rng(seed), []
    for index in range(resamples):
        sides = _disjoint(generator, prompts, seeds, 1)
        first, second = (features[np.arange(prompts), side[:, 0]] for side in sides)
        interval = difference_interval(first, second, reference, seed=index)
        if interval is None:
            raise InputError(
                f"gate.frechet: {prompts} prompts for {d} features: not gated below as many"
            )
        needed.append(max(0.0, interval[1]))
    return _metric(name, margin, np.array(needed), None)


def _check_seeds(seeds: int, images_a_prompt: int) -> None:
    if seeds < 2 * images_a_prompt:
        raise InputError(
            f"gate calibrate: {seeds} seeds a prompt; two disjoint sets of {images_a_prompt} need "
            f"{2 * images_a_prompt}"
        )


def _disjoint(
    generator: np.random.Generator, prompts: int, seeds: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two (prompts, count) index arrays into the seeds, with none in common."""
    order = generator.permuted(np.tile(np.arange(seeds), (prompts, 1)), axis=1)
    return order[:, :count], order[:, count : 2 * count]


def _draw(
    first: np.ndarray,
    second: np.ndarray,
    rule: QualityRule,
    direction: stats.Direction,
    clusters: Sequence[int],
    seed: int,
) -> _Draw:
    judged: stats.Direction = "none" if rule.two_sided else direction
    ci95 = stats.bootstrap_difference_ci(first, second, clusters, seed=seed)
    loss = 2 * rule.margin * (1 if direction == "lower" else -1)
    shifted = None if ci95 is None else (ci95[0] + loss, ci95[1] + loss)

    def p_value(values: np.ndarray, interval: stats.Interval | None) -> float:
        if stats.verdict(interval, rule.margin, judged) != "regression":
            return 1.0
        return _p(values, second, rule.margin, judged, clusters)

    return _Draw(p_value(first, ci95), _needed_margin(ci95, judged), p_value(first + loss, shifted))


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


def _metric(name: str, margin: float, needed: np.ndarray, power: float | None) -> MetricCalibration:
    smallest = float(np.quantile(needed, _WANTED_PASSES))
    return MetricCalibration(name, margin, float((needed <= margin).mean()), smallest,
                             margin >= smallest, power)  # fmt: skip
