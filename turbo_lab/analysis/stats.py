"""Uncertainty: seeded bootstrap intervals, paired tests and the rule of a verdict.

Owns every interval and p-value that turbo-lab prints. Pure numpy, no global
random state: each function takes a seed, and equal input gives equal output.
Refuses to invent: too few samples give ``None``, never a guess.

Samples of one prompt are not independent (the prompt is easy or hard), so the
unit that is resampled is the *cluster*, by default one sample each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from turbo_lab.verdict import Direction, Verdict

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]
Alternative = Literal["two-sided", "greater", "less"]

MIN_CLUSTERS = 8
"""Fewest clusters that get a bootstrap interval. By simulation a nominal 95%
covers a normal mean with 95-96% from eight on, but with 91% at five and six:
with so few values the bootstrap cannot reach its own tails."""

RESAMPLES = 2000
_BLOCK_ELEMENTS = 1 << 20  # indices drawn at once: 8 MiB, for any sample size
_NORMAL = NormalDist()


def bootstrap_mean_ci(
    values: npt.ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval | None:
    """Return the interval of a mean by the cluster bootstrap; ``None`` below :data:`MIN_CLUSTERS`.

    ``values``: (n,) finite; ``clusters``: (n,) labels such as the prompt, or
    ``None`` where the samples are independent. Percentile bootstrap with the
    expanded levels of Hesterberg 2015 (doi 10.1080/00031305.2015.1089789, 5.1):
    the plain one is too narrow by sqrt((n-1)/n) and by z for t. Raises
    ``ValueError`` for values that are not finite or not one-dimensional.
    """
    sums, counts = _cluster_totals(_vector("values", values), clusters)
    if len(sums) < MIN_CLUSTERS:
        return None

    def means(index: npt.NDArray[np.int64]) -> Array:
        total: Array = sums[index].sum(axis=1) / counts[index].sum(axis=1)
        return total

    draws = _resample(means, len(sums), seed, resamples)
    return _quantiles(draws, _expanded_tail(len(sums), level))


def median_ci(values: npt.ArrayLike, level: float = 0.95) -> Interval | None:
    """Return the distribution-free interval of a median, from order statistics.

    The k-th smallest and k-th largest value, k the largest with
    ``P(Binomial(n, 1/2) < k) <= (1 - level) / 2``; the coverage is at least
    ``level`` for any continuous distribution. ``None`` where not even the range
    has it (n < 6 at 95%).
    """
    data = np.sort(_vector("values", values))
    n = len(data)
    tail, k, probability = (1 - level) / 2, 0, 0.0
    while k < n:
        # lgamma, since comb(n, k) / 2**n overflows a float from n = 1030 on
        log_term = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        probability += math.exp(log_term - n * math.log(2))
        if probability > tail:
            break
        k += 1
    return None if k == 0 else (float(data[k - 1]), float(data[n - k]))


def proportion_ci(
    values: npt.ArrayLike, clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Interval | None:
    """Return the Wilson score interval of a proportion; ``None`` below :data:`MIN_CLUSTERS`.

    ``values``: (n,) in [0, 1], mostly 0 or 1. A bootstrap of sixteen misses in
    sixteen tries is (0, 0), which is certainty out of nothing; Wilson's (1927) is
    (0, 0.2). Clusters enter by the effective sample size, the one whose binomial
    variance is the variance between clusters; the number of clusters where that
    is zero. Raises ``ValueError`` for values outside [0, 1].
    """
    data = _vector("values", values)
    if len(data) and (data.min() < 0 or data.max() > 1):
        raise ValueError("values: must lie in [0, 1]")
    sums, counts = _cluster_totals(data, clusters)
    k, n = len(sums), len(data)
    if k < MIN_CLUSTERS:
        return None
    p = float(data.mean())
    variance = k / (k - 1) * float(np.square(sums - counts * p).sum()) / n**2
    effective = min(float(n), p * (1 - p) / variance) if variance > 0 else float(k)
    squared = t_quantile((1 + level) / 2, k - 1) ** 2
    middle = (p + squared / (2 * effective)) / (1 + squared / effective)
    spread = math.sqrt(squared * (p * (1 - p) / effective + squared / (4 * effective**2)))
    half = spread / (1 + squared / effective)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap_difference_ci(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Return the 95% interval of ``mean(candidate - baseline)`` of paired samples, (n,) each."""
    first, second = _pairs(candidate, baseline)
    return bootstrap_mean_ci(first - second, clusters, seed, resamples)


def proportion_difference_ci(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval | None:
    """Return the interval of the difference of two paired proportions.

    (n,) each, in [0, 1], mostly 0 or 1; ``None`` below :data:`MIN_CLUSTERS`. If no pair
    differs, a bootstrap gives (0, 0) for every n. This is the share of gains minus the
    share of losses, from the Wilson interval of each by Donner and Zou's MOVER (2010, doi
    10.1177/0962280210384995, eq. 3), with the correlation of a multinomial's
    shares. Raises ``ValueError`` for unequal lengths.
    """
    first, second = _pairs(candidate, baseline)
    gains, losses = (np.clip(sign * (first - second), 0.0, None) for sign in (1, -1))
    gain_ci, loss_ci = (proportion_ci(part, clusters, level) for part in (gains, losses))
    if gain_ci is None or loss_ci is None:
        return None
    gain, loss = float(gains.mean()), float(losses.mean())
    # A share of 1 leaves the other none: nothing to be correlated with.
    shared = math.sqrt(gain * loss / ((1 - gain) * (1 - loss))) if max(gain, loss) < 1 else 0.0

    def joined(one: float, other: float) -> float:
        return math.sqrt(one**2 + other**2 + 2 * shared * one * other)

    return (
        max(-1.0, gain - loss - joined(gain - gain_ci[0], loss_ci[1] - loss)),
        min(1.0, gain - loss + joined(gain_ci[1] - gain, loss - loss_ci[0])),
    )


def bootstrap_ratio_ci(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval | None:
    """Return the interval of ``mean(numerator) / mean(denominator)`` of paired samples.

    (n,) each; pairs (or whole clusters, such as the blocks of an interleaved
    timing run) are resampled together. Raises ``ValueError`` if the denominator
    is not positive throughout.
    """
    top, bottom = _pairs(numerator, denominator)
    if len(bottom) and bottom.min() <= 0:
        raise ValueError("denominator: must be positive throughout for a ratio")
    top_sums, _ = _cluster_totals(top, clusters)
    bottom_sums, _ = _cluster_totals(bottom, clusters)
    if len(top_sums) < MIN_CLUSTERS:
        return None

    def ratios(index: npt.NDArray[np.int64]) -> Array:
        ratio: Array = top_sums[index].sum(axis=1) / bottom_sums[index].sum(axis=1)
        return ratio

    draws = _resample(ratios, len(top_sums), seed, resamples)
    return _quantiles(draws, _expanded_tail(len(top_sums), level))


def permutation_test(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    alternative: Alternative = "two-sided",
    seed: int = 0,
    resamples: int = 10_000,
) -> float:
    """Return the p-value of the paired sign-flip test that the mean difference is zero.

    (n,) each. Exact (all sign patterns) up to 12 clusters, else Monte Carlo with
    the ``(b + 1) / (m + 1)`` estimate, which is never zero (Phipson and Smyth
    2010). The sign of a whole cluster flips at once. Raises ``ValueError`` for
    no data.
    """
    first, second = _pairs(candidate, baseline)
    sums, _ = _cluster_totals(first - second, clusters)
    if not len(sums):
        raise ValueError("permutation_test: no samples")
    observed = float(sums.sum())
    if len(sums) <= 12:
        bits = np.arange(1 << len(sums))[:, None] >> np.arange(len(sums))
        return float(_extreme((1.0 - 2.0 * (bits & 1)) @ sums, observed, alternative).mean())
    generator = np.random.default_rng(seed)
    hits, block = 0, max(1, _BLOCK_ELEMENTS // len(sums))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        signs = 1.0 - 2.0 * generator.integers(0, 2, (rows, len(sums)))
        hits += int(_extreme(signs @ sums, observed, alternative).sum())
    return (hits + 1) / (resamples + 1)


def holm(p_values: npt.ArrayLike) -> Array:
    """Return Holm's step-down adjusted p-values, in the order given; reject if <= alpha.

    (m,) in [0, 1]; controls the family-wise error without independence (Holm
    1979). Never smaller than the input, never above 1.
    """
    p = _vector("p_values", p_values)
    if len(p) and (p.min() < 0 or p.max() > 1):
        raise ValueError("p_values: must lie in [0, 1]")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def verdict(ci: Interval | None, margin: float, direction: Direction) -> Verdict:
    """Judge an interval of ``candidate - baseline`` against a margin.

    ``pass`` if it is inside the margin, ``regression`` if entirely beyond it, else
    ``inconclusive`` (so is ``None``, and so is a bound that is not a number).
    ``higher`` or ``lower`` is better: only the bad side has a margin; ``none``:
    both sides have, and a 95% interval inside is Schuirmann's two one-sided tests
    at 2.5% each.
    """
    _check_margin(margin)
    if ci is None:
        return Verdict.INCONCLUSIVE
    low, high = ci
    if direction == Direction.LOWER:
        low, high = -high, -low
    if direction == Direction.NONE:
        inside, beyond = -margin <= low and high <= margin, low > margin or high < -margin
    else:
        inside, beyond = low >= -margin, high < -margin
    if math.isnan(low) or math.isnan(high) or not (inside or beyond):
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if inside else Verdict.REGRESSION


def minimum_detectable_effect(
    sd: float, n: int, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Return the smallest mean difference that ``n`` pairs show with ``power``; ``None`` for n < 2.

    ``sd``: standard deviation of the paired differences.
    ``(z(1 - alpha/2) + z(power)) * sd / sqrt(n)``, 2.80 at the defaults.
    """
    return None if n < 2 else _power_factor(power, alpha) * sd / math.sqrt(n)


def needed_n(sd: float, effect: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return the number of pairs, at least 2, that show a mean difference with ``power``."""
    if not (effect > 0 and sd >= 0 and math.isfinite(sd / effect)):
        raise ValueError(f"effect={effect}, sd={sd}: effect must be positive, sd finite and >= 0")
    return max(2, math.ceil((_power_factor(power, alpha) * sd / effect) ** 2))


def t_quantile(probability: float, degrees: int) -> float:
    """Return a quantile of Student's t with ``degrees`` (>= 1) degrees of freedom."""
    from scipy.special import stdtrit  # here: light commands read this module's verdicts only

    return float(stdtrit(degrees, probability))


def cluster_index(clusters: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """Return (n,) labels as integers in order of first appearance, independent of hashing."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in clusters], dtype=np.int64)


def _resample(
    statistic: Callable[[npt.NDArray[np.int64]], Array], size: int, seed: int, resamples: int
) -> Array:
    """Return (resamples,) values of a statistic that maps (rows, size) indices to (rows,)."""
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_ELEMENTS // size)
    parts = [
        statistic(generator.integers(0, size, (min(block, resamples - start), size)))
        for start in range(0, resamples, block)
    ]
    return np.concatenate(parts)


def _expanded_tail(n: int, level: float) -> float:
    t = t_quantile((1 + level) / 2, n - 1)
    return _NORMAL.cdf(-math.sqrt(n / (n - 1)) * t)


def _quantiles(draws: Array, tail: float) -> Interval:
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _cluster_totals(values: Array, clusters: Sequence[Hashable] | None) -> tuple[Array, Array]:
    """Return sum and size of each cluster, (k,) float64 each."""
    if clusters is None:
        return values, np.ones_like(values)
    index = _checked_index(values, clusters)
    size = int(index.max()) + 1 if len(index) else 0
    sums = np.bincount(index, values, size).astype(np.float64)
    return sums, np.bincount(index, minlength=size).astype(np.float64)


def _checked_index(values: Array, clusters: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    if len(clusters) != len(values):
        raise ValueError(f"clusters: {len(clusters)} labels for {len(values)} values")
    return cluster_index(clusters)


def _extreme(draws: Array, observed: float, alternative: Alternative) -> npt.NDArray[np.bool_]:
    # rounding must not drop the draws that equal the observed sum in exact arithmetic
    slack = 1e-12 * max(1.0, abs(observed))
    if alternative == "two-sided":
        return np.abs(draws) >= abs(observed) - slack
    sign = 1.0 if alternative == "greater" else -1.0
    return sign * draws >= sign * observed - slack


def _power_factor(power: float, alpha: float) -> float:
    return _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)


def _check_margin(margin: float) -> None:
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin={margin}: must be finite and at least 0")


def _pairs(first: Any, second: Any) -> tuple[Array, Array]:
    a, b = _vector("first sample", first), _vector("second sample", second)
    if a.shape != b.shape:
        raise ValueError(f"paired samples differ in length: {len(a)} and {len(b)}")
    return a, b


def _vector(name: str, values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name}: must be one-dimensional, has shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {int((~np.isfinite(array)).sum())} values are not finite")
    return array
