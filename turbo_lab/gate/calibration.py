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

from turbo_lab.analysis import stats
from turbo_lab.compare.paired import Pairs, beyond_p, judge_pairs
from turbo_lab.documents.gate import GateCalibration, MetricCalibration
from turbo_lab.errors import InputError
from turbo_lab.gate.policy import QualityRule
from turbo_lab.verdict import Direction, Verdict

if TYPE_CHECKING:
    from turbo_lab.metrics.reference import Reference

RESAMPLES = 1000
# A margin is refused where equal pipelines would pass it less often than this.
_WANTED_PASSES = 0.8


@dataclass(frozen=True)
class Figures:
    """One metric's pool."""

    values: np.ndarray
    """(prompts, seeds), one an image."""
    direction: Direction
    """Which way is better."""
    unit: str
    """Of the values."""


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
    pool: Mapping[str, Figures],
    rules: Mapping[str, QualityRule],
    images_a_prompt: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alpha: float = 0.05,
) -> GateCalibration:
    """``pool``: by metric; at least twice ``images_a_prompt`` seeds.

    Raises :class:`InputError` for too few seeds.
    """
    prompts, seeds = next(iter(pool.values())).values.shape
    _check_seeds(seeds, images_a_prompt)
    generator = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(prompts), images_a_prompt).tolist()
    alarms, draws = 0, {name: list[_Draw]() for name in pool}
    for index in range(resamples):
        sides = _disjoint(generator, prompts, seeds, images_a_prompt)
        for name, known in pool.items():
            first, second = (np.take_along_axis(known.values, s, axis=1).ravel() for s in sides)
            rule = rules[name]
            direction = Direction.NONE if rule.two_sided else known.direction
            drawn = _draw(
                first,
                second,
                margin=rule.margin,
                direction=direction,
                unit=known.unit,
                clusters=clusters,
                seed=index,
            )
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
    margin: float,
    direction: Direction,
    unit: str,
    clusters: Sequence[int],
    seed: int,
) -> _Draw:
    """``direction``: ``none`` for a two-sided rule."""
    alarms, intervals = [], []
    for values in (first, _with_loss(first, 2 * margin, direction, unit, seed=seed)):
        pairs = Pairs(values, second, clusters)
        verdict, ci95 = judge_pairs(pairs, margin, direction, unit, seed=seed)
        beyond = verdict == Verdict.REGRESSION
        p_value = beyond_p(pairs, margin, direction)
        alarms.append(p_value if beyond else 1.0)
        intervals.append(ci95)
    return _Draw(alarms[0], _needed_margin(intervals[0], direction), alarms[1])


def _with_loss(
    values: np.ndarray, loss: float, direction: Direction, unit: str, seed: int
) -> np.ndarray:
    """``values`` with a mean that is worse by ``loss``.

    Of a share some hits become misses: no image is less than wrong.
    """
    if unit != "fraction":
        return values + (loss if direction == Direction.LOWER else -loss)
    right = 1 - values if direction == Direction.LOWER else values
    of_the_hits = loss / max(float(right.mean()), loss, 1e-9)
    turned = np.random.default_rng(seed).random(len(values)) < of_the_hits
    right = np.where(turned, 0.0, right)
    return 1 - right if direction == Direction.LOWER else right


def _needed_margin(ci95: stats.Interval | None, direction: Direction) -> float:
    """The smallest margin at which an interval would pass."""
    if ci95 is None:
        return float("inf")
    low, high = ci95
    worst = {Direction.HIGHER: -low, Direction.LOWER: high, Direction.NONE: max(-low, high)}[
        direction
    ]
    return max(0.0, worst)


def _metric(name: str, margin: float, needed: np.ndarray, power: float | None) -> MetricCalibration:
    smallest = float(np.quantile(needed, _WANTED_PASSES))
    return MetricCalibration(
        name=name,
        margin=margin,
        passes=float((needed <= margin).mean()),
        smallest_margin=smallest,
        holds=margin >= smallest,
        power=power,
    )
