"""Calibration of the gate: how often equal pipelines fail, and which margins are usable.

From a pool of values per image, with several seeds per prompt, two disjoint seed sets are
drawn again and again. The gate's own rule judges them as if one were a candidate and the other
its baseline. A real candidate shares its seeds with the baseline, so this is the most noise
that a gate can meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from turbo_lab.analysis import stats
from turbo_lab.compare.paired import Pairs, beyond_p, judge_pairs
from turbo_lab.documents.gate import GateCalibration, MetricCalibration
from turbo_lab.errors import InputError
from turbo_lab.gate.policy import QualityRule
from turbo_lab.verdict import Direction, Verdict

if TYPE_CHECKING:
    from turbo_lab.metrics.reference import Reference

RESAMPLES = 1000
"""Number of simulated gates."""
# A margin that equal pipelines pass less often than this is below the noise.
_REQUIRED_PASSES = 0.8


@dataclass(frozen=True)
class MetricPool:
    """Values of one metric, from which seed sets are drawn."""

    values: np.ndarray
    """(prompts, seeds), one value per image."""
    direction: Direction
    """Direction in which values are better."""
    unit: str
    """Unit of the values."""


@dataclass(frozen=True)
class _Rule:
    """Rule that judges a pair of seed sets."""

    margin: float
    """Largest loss of the candidate that passes."""
    direction: Direction
    """Direction in which values are better; ``NONE`` for a two-sided rule."""
    unit: str
    """Unit of the values."""


@dataclass(frozen=True)
class _Draw:
    """Judgement of one metric of one pair of seed sets."""

    alarm_p: float
    """p-value of "within the margin"; 1 if the pair is not a regression."""
    needed_margin: float
    """Smallest margin at which the pair passes."""
    loss_p: float
    """``alarm_p`` of the pair after a loss of twice the margin."""


def calibrate_gate(
    pools: Mapping[str, MetricPool],
    rules: Mapping[str, QualityRule],
    *,
    images_per_prompt: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alpha: float = 0.05,
) -> GateCalibration:
    """Simulate gates of equal pipelines.

    ``pools``: by metric, each with at least twice ``images_per_prompt`` seeds. Raises
    :class:`InputError` for fewer.
    """
    prompts, seeds = next(iter(pools.values())).values.shape
    _require_seeds(seeds, images_per_prompt)
    generator = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(prompts), images_per_prompt).tolist()
    gates: list[dict[str, _Draw]] = []
    for index in range(resamples):
        sets = _disjoint(generator, prompts, seeds, images_per_prompt)
        gates.append(
            {
                name: _judge_sets(sets, pool, rules[name], clusters, seed=index)
                for name, pool in pools.items()
            }
        )
    is_alarm = np.array([_is_alarm(draws, alpha) for draws in gates], dtype=float)
    interval = stats.proportion_ci(is_alarm)
    assert interval is not None
    metrics = tuple(
        _calibrate_metric(
            name, rules[name].margin, [gate[name] for gate in gates], alpha / len(pools)
        )
        for name in pools
    )
    return GateCalibration(int(is_alarm.sum()), resamples, interval, metrics)


def _is_alarm(draws: Mapping[str, _Draw], alpha: float) -> bool:
    """Return whether a simulated gate fails, after Holm's correction."""
    return bool((stats.holm([draw.alarm_p for draw in draws.values()]) <= alpha).any())


def _calibrate_metric(
    name: str, margin: float, draws: Sequence[_Draw], alpha: float
) -> MetricCalibration:
    """Sum up the draws of one metric.

    ``alpha``: level of the first step of Holm's correction, because all other metrics pass.
    """
    needed = np.array([draw.needed_margin for draw in draws])
    power = float(np.mean([draw.loss_p <= alpha for draw in draws]))
    return _calibrated(name, margin, needed, power)


def calibrate_distance(
    name: str,
    features: np.ndarray,
    reference: Reference,
    margin: float,
    resamples: int = 100,
    seed: int = 0,
) -> MetricCalibration:
    """Simulate the check on the Fréchet distance for equal pipelines.

    ``features``: (prompts, seeds, d). Raises :class:`InputError` for fewer than two seeds, and
    for fewer prompts than features.
    """
    from turbo_lab.metrics.frechet import difference_interval

    prompts, seeds, d = features.shape
    _require_seeds(seeds, 1)
    generator, needed = np.random.default_rng(seed), []
    for index in range(resamples):
        sides = _disjoint(generator, prompts, seeds, 1)
        first, second = (features[np.arange(prompts), side[:, 0]] for side in sides)
        interval = difference_interval(first, second, reference, seed=index)
        if interval is None:
            raise InputError(
                f"gate.frechet: {prompts} prompts for {d} features; needs at least as many prompts"
            )
        needed.append(max(0.0, interval[1]))
    return _calibrated(name, margin, np.array(needed), None)


def _require_seeds(seeds: int, images_per_prompt: int) -> None:
    needed = 2 * images_per_prompt
    if seeds < needed:
        raise InputError(
            f"gate calibrate: {seeds} seeds per prompt; two disjoint sets need at least {needed}"
        )


def _disjoint(
    generator: np.random.Generator, prompts: int, seeds: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return two (prompts, count) arrays of indices into the seeds, with none in common."""
    order = generator.permuted(np.tile(np.arange(seeds), (prompts, 1)), axis=1)
    return order[:, :count], order[:, count : 2 * count]


def _judge_sets(
    sets: tuple[np.ndarray, np.ndarray],
    pool: MetricPool,
    quality: QualityRule,
    clusters: Sequence[int],
    *,
    seed: int,
) -> _Draw:
    """Judge the first seed set against the second, unchanged and after a loss."""
    first, second = (np.take_along_axis(pool.values, s, axis=1).ravel() for s in sets)
    direction = Direction.NONE if quality.two_sided else pool.direction
    rule = _Rule(quality.margin, direction, pool.unit)
    alarm_p, ci95 = _alarm_p(Pairs(first, second, clusters), rule, seed)
    lossy = Pairs(_with_loss(first, 2 * rule.margin, rule, seed), second, clusters)
    loss_p, _ = _alarm_p(lossy, rule, seed)
    return _Draw(alarm_p, _needed_margin(ci95, direction), loss_p)


def _alarm_p(pairs: Pairs, rule: _Rule, seed: int) -> tuple[float, stats.Interval | None]:
    """Return the p-value of an alarm, 1 if there is none, and the interval of the difference."""
    verdict, ci95 = judge_pairs(pairs, rule.margin, rule.direction, rule.unit, seed=seed)
    p_value = beyond_p(pairs, rule.margin, rule.direction)
    return (p_value if verdict == Verdict.REGRESSION else 1.0), ci95


def _with_loss(values: np.ndarray, loss: float, rule: _Rule, seed: int) -> np.ndarray:
    """Return values whose mean is worse by ``loss``.

    If they are hits and misses, some hits become misses, so that each stays 0 or 1.
    """
    is_lower_better = rule.direction == Direction.LOWER
    if rule.unit != "fraction":
        return values + (loss if is_lower_better else -loss)
    hits = 1 - values if is_lower_better else values
    share = loss / max(float(hits.mean()), loss, 1e-9)
    is_lost = np.random.default_rng(seed).random(len(values)) < share
    hits = np.where(is_lost, 0.0, hits)
    return 1 - hits if is_lower_better else hits


def _needed_margin(ci95: stats.Interval | None, direction: Direction) -> float:
    """Return the smallest margin at which an interval passes."""
    if ci95 is None:
        return float("inf")
    low, high = ci95
    worst = {Direction.HIGHER: -low, Direction.LOWER: high, Direction.NONE: max(-low, high)}[
        direction
    ]
    return max(0.0, worst)


def _calibrated(
    name: str, margin: float, needed: np.ndarray, power: float | None
) -> MetricCalibration:
    smallest = float(np.quantile(needed, _REQUIRED_PASSES))
    return MetricCalibration(
        name=name,
        margin=margin,
        passes=float((needed <= margin).mean()),
        smallest_margin=smallest,
        holds=margin >= smallest,
        power=power,
    )
