"""Paired comparison of a candidate with a baseline: differences per metric, and verdicts.

Pure: values per image come in, check results go out. Owns the pairing (by prompt and seed), the
verdict on a margin, and the correction over a family of checks. Refuses to compare measurements
of different fingerprints.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from turbo_lab.analysis import stats
from turbo_lab.documents.gate import CheckResult, PromptChange
from turbo_lab.errors import InputError
from turbo_lab.store.record import Measurement
from turbo_lab.verdict import Direction, Verdict

ALPHA = 0.05
Key = tuple[str, int]
"""Prompt and seed of an image."""


class NotComparableError(InputError):
    """Two measurements that cannot be compared."""

    def __init__(self, subject: str, reason: str) -> None:
        """``subject``: name of the metric, or of both measurements."""
        super().__init__(f"{subject}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class ScoredImages:
    """One metric of a set of images, with the keys that its values are paired by."""

    measurement: Measurement
    """Measurement of the metric."""
    keys: Sequence[Key]
    """Prompt and seed of each image, in the order of the measurement's values per image."""


@dataclass(frozen=True)
class Pairs:
    """Values of a metric on pairs of images, one array per side."""

    candidate: stats.Array
    """Values of the candidate's images, (n,) float64."""
    baseline: stats.Array
    """Values of the baseline's images, (n,) float64, in the same order."""
    clusters: Sequence[Hashable]
    """Cluster of each pair, which is its prompt. Pairs of one cluster are not independent."""

    @property
    def is_finite(self) -> bool:
        """``True`` if every value is a finite number."""
        return bool(np.isfinite(self.candidate).all() and np.isfinite(self.baseline).all())

    @property
    def mean_difference(self) -> float:
        """Mean over all pairs of candidate minus baseline."""
        return float((self.candidate - self.baseline).mean())

    def cluster_differences(self) -> stats.Array:
        """Return the mean difference of each cluster, in the order of first appearance."""
        index = stats.cluster_index(self.clusters)
        return np.bincount(index, self.candidate - self.baseline) / np.bincount(index)


def compare_metric(
    candidate: ScoredImages, baseline: ScoredImages, margin: float, two_sided: bool = False
) -> CheckResult:
    """Compare one metric, paired by prompt and seed and clustered by prompt.

    ``margin``: how much worse the candidate may be; with ``two_sided``, how far it may be off in
    either direction. Raises :class:`NotComparableError` for measurements of two fingerprints and
    for images that do not pair.
    """
    here, there = candidate.measurement, baseline.measurement
    _check_fingerprints(here, there)
    direction = Direction.NONE if two_sided else here.direction
    row = CheckResult(
        name=here.name,
        verdict=Verdict.ERROR,
        value=here.value,
        baseline=there.value,
        margin=margin,
        n=0,
        unit=here.unit,
        direction=direction,
    )
    for side, measured in (("candidate", here), ("baseline", there)):
        if (problem := _problem(measured)) is not None:
            return replace(row, note=f"{side}: {problem}")
    pairs = pair_images(candidate, baseline)
    if not pairs.is_finite:
        return replace(row, note="values of some images are not finite")
    verdict, ci95 = judge_pairs(pairs, margin, direction, here.unit)
    n = len(set(pairs.clusters))
    return replace(
        row,
        verdict=verdict,
        difference=pairs.mean_difference,
        ci95=ci95,
        n=n,
        minimum_detectable_effect=_detectable_effect(pairs, ci95, here.unit),
        p_value=beyond_p(pairs, margin, direction),
    )


def pair_images(candidate: ScoredImages, baseline: ScoredImages) -> Pairs:
    """Return the values of both sides for the same prompts and seeds, in the candidate's order.

    Raises :class:`NotComparableError` if a side has an image that the other lacks.
    """
    here, there = _by_key(candidate), _by_key(baseline)
    if len(here) != len(candidate.keys) or set(here) != set(there):
        raise NotComparableError(
            candidate.measurement.name,
            f"{len(here)} images of the candidate and {len(there)} of the baseline do not pair; "
            "compare equal prompts and seeds",
        )
    first, second = (np.array([side[key] for key in here]) for side in (here, there))
    return Pairs(first, second, [prompt for prompt, _ in here])


def judge_pairs(
    pairs: Pairs, margin: float, direction: Direction, unit: str, seed: int = 0
) -> tuple[Verdict, stats.Interval | None]:
    """Return the verdict before Holm's correction, and the 95% interval of the difference.

    ``direction``: ``none`` is two-sided. ``unit``: fractions, which are nearly all 0 or 1, get an
    interval that does not shrink to a point if no pair differs. ``seed``: of the bootstrap.
    """
    if unit == "fraction":
        ci95 = stats.proportion_difference_ci(pairs.candidate, pairs.baseline, pairs.clusters)
    else:
        ci95 = stats.bootstrap_difference_ci(
            pairs.candidate, pairs.baseline, pairs.clusters, seed=seed
        )
    return stats.verdict(ci95, margin, direction), ci95


def beyond_p(pairs: Pairs, margin: float, direction: Direction) -> float:
    """Return the p-value of "the candidate is within its margin" against "it is beyond"."""
    first, second, clusters = pairs.candidate, pairs.baseline, pairs.clusters
    worse_below = stats.permutation_test(first + margin, second, clusters, "less")
    worse_above = stats.permutation_test(first - margin, second, clusters, "greater")
    if direction == Direction.NONE:
        return min(1.0, 2 * min(worse_below, worse_above))
    return worse_below if direction == Direction.HIGHER else worse_above


def apply_holm(rows: Sequence[CheckResult], alpha: float = ALPHA) -> list[CheckResult]:
    """Correct a family of checks for its size, by the procedure of Holm (1979).

    A regression whose adjusted p-value is above ``alpha`` becomes ``inconclusive``: among many
    checks, one interval in twenty is beyond its margin by chance. Every undecided row gets the
    number of pairs that would decide it.
    """
    tested = [index for index, row in enumerate(rows) if row.p_value is not None]
    adjusted = stats.holm([row.p_value for row in rows if row.p_value is not None])
    corrected = list(rows)
    for index, p_value in zip(tested, adjusted, strict=True):
        row = replace(corrected[index], p_value=float(p_value))
        if row.verdict == Verdict.REGRESSION and p_value > alpha:
            reason = "beyond its margin, but not after Holm's correction over all checks"
            row = replace(
                row,
                verdict=Verdict.INCONCLUSIVE,
                note=reason if row.note is None else f"{reason}; {row.note}",
            )
        corrected[index] = row
    # The first step of Holm's procedure, which is one-sided, shares alpha among all tests.
    beyond = min(alpha, 2 * alpha / max(1, len(tested)))
    return [replace(row, needed_n=_needed_n(row, alpha, beyond)) for row in corrected]


def winners_and_losers(
    candidate: ScoredImages, baseline: ScoredImages, count: int = 5
) -> tuple[list[PromptChange], list[PromptChange]]:
    """Return the prompts on which the candidate gains most, and those on which it loses most.

    Each comes with its mean difference; the largest change is first.
    """
    pairs = pair_images(candidate, baseline)
    names = [str(name) for name in dict.fromkeys(pairs.clusters)]
    means = [float(value) for value in pairs.cluster_differences()]
    is_reversed = candidate.measurement.direction != Direction.LOWER
    ordered = sorted(zip(names, means, strict=True), key=lambda item: item[1], reverse=is_reversed)
    return ordered[:count], ordered[::-1][:count]


def spread_of(ci95: stats.Interval, n: int) -> float:
    """Return the standard deviation of a pair.

    It follows from the half width of a 95% interval, which is 1.96 standard errors.
    """
    width = ci95[1] - ci95[0]
    return width / (2 * 1.96) * math.sqrt(n)


def _problem(measured: Measurement) -> str | None:
    """Return why a measurement cannot be paired; ``None`` if it can."""
    if measured.value is None or not np.isfinite(measured.value):
        return measured.note or "no finite value"
    return "no values per image, so nothing to pair" if measured.per_image is None else None


def _detectable_effect(pairs: Pairs, ci95: stats.Interval | None, unit: str) -> float | None:
    """Return the smallest detectable difference; ``None`` if the spread is unknown."""
    means = pairs.cluster_differences()
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    if unit == "fraction" and ci95 is not None:  # equal pairs do not prove that there is no spread
        spread = spread_of(ci95, len(means))
    return stats.minimum_detectable_effect(spread, len(means)) if spread > 0 else None


def _needed_n(row: CheckResult, alpha: float, beyond: float) -> int | None:
    """Return the number of pairs that decides an undecided row with 80% power.

    It depends on the distance to the nearest edge of the margin; on the edge itself, no number
    decides. ``beyond``: significance level of a regression.
    """
    if row.verdict != Verdict.INCONCLUSIVE:
        return None
    if row.ci95 is None or row.difference is None or row.margin is None:
        return stats.MIN_CLUSTERS
    room = {
        Direction.HIGHER: row.margin + row.difference,
        Direction.LOWER: row.margin - row.difference,
    }.get(row.direction, row.margin - abs(row.difference))
    spread = spread_of(row.ci95, row.n)
    if not (spread > 0 and np.isfinite(spread) and abs(room) > 1e-6 * spread):
        return None
    wanted = stats.needed_n(spread, abs(room), alpha=alpha if room > 0 else beyond)
    return max(wanted, row.n + 1)


def _check_fingerprints(candidate: Measurement, baseline: Measurement) -> None:
    if candidate.name != baseline.name or candidate.fingerprint != baseline.fingerprint:
        names = [f"{one.name} {one.fingerprint[:12]}" for one in (candidate, baseline)]
        raise NotComparableError(
            " and ".join(names),
            "measured in different ways (extractor, reference, preprocessing or version); measure "
            "both sides in the same way",
        )


def _by_key(scored: ScoredImages) -> dict[Key, float]:
    values = scored.measurement.per_image
    assert values is not None
    return dict(zip(scored.keys, values, strict=True))
