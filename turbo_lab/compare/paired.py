"""A candidate against a baseline, figure by figure: paired differences and verdicts.

Pure: per-image figures in, rows out. Owns the pairing (prompt and seed), the
margins' verdicts, and the family-wise control over many of them. Refuses to
compare figures of different fingerprints.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from turbo_lab.analysis import stats
from turbo_lab.documents.gate import CheckResult
from turbo_lab.errors import InputError
from turbo_lab.store.record import Measurement
from turbo_lab.verdict import Direction, Verdict

ALPHA = 0.05
Key = tuple[str, int]
"""Prompt and seed of an image."""


def compare_figure(
    candidate: Measurement,
    baseline: Measurement,
    candidate_keys: Sequence[Key],
    baseline_keys: Sequence[Key],
    margin: float,
    two_sided: bool = False,
) -> CheckResult:
    """One figure with values an image, paired by prompt and seed, clustered by prompt.

    ``margin``: how much worse the candidate may be (``two_sided``: how far off in
    either way). Raises :class:`InputError` for figures of two fingerprints and
    for images that do not pair.
    """
    _check_fingerprints(candidate, baseline)
    direction = Direction.NONE if two_sided else candidate.direction
    row = CheckResult(
        name=candidate.name,
        verdict=Verdict.ERROR,
        value=candidate.value,
        baseline=baseline.value,
        difference=None,
        ci95=None,
        margin=margin,
        n=0,
        minimum_detectable_effect=None,
        unit=candidate.unit,
        direction=direction,
    )
    for side, measured in (("candidate", candidate), ("baseline", baseline)):
        if measured.value is None or not np.isfinite(measured.value):
            return replace(row, note=f"{side}: {measured.note or 'no finite value'}")
        if measured.per_image is None:
            return replace(row, note=f"{side}: no values an image, so nothing to pair")
    first, second, prompts = _pair(candidate, baseline, candidate_keys, baseline_keys)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return replace(row, note="values of some images are not finite")
    verdict, ci95 = judge_pairs(first, second, prompts, margin, direction, candidate.unit)
    means = _cluster_means(first - second, prompts)
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    if candidate.unit == "fraction" and ci95 is not None:  # equal pairs are no proof of no spread
        spread = spread_of(ci95, len(means))
    effect = stats.minimum_detectable_effect(spread, len(means)) if spread > 0 else None
    return replace(
        row,
        verdict=verdict,
        difference=float((first - second).mean()),
        ci95=ci95,
        n=len(means),
        minimum_detectable_effect=effect,
        p_value=beyond_p(first, second, prompts, margin, direction),
    )


def judge_pairs(
    first: np.ndarray,
    second: np.ndarray,
    clusters: Sequence[Hashable],
    margin: float,
    direction: Direction,
    unit: str,
    seed: int = 0,
) -> tuple[Verdict, stats.Interval | None]:
    """The one rule of figures with values an image, before Holm's; and the interval.

    (n,) each, ``first`` the candidate's; ``direction`` ``none`` is two-sided. A
    ``unit`` of fractions, nearly all 0 or 1, gets an interval that does not shrink
    to a point where no pair differs.
    """
    if unit == "fraction":
        ci95 = stats.proportion_difference_ci(first, second, clusters)
    else:
        ci95 = stats.bootstrap_difference_ci(first, second, clusters, seed)
    return stats.verdict(ci95, margin, direction), ci95


def beyond_p(
    first: np.ndarray,
    second: np.ndarray,
    clusters: Sequence[Hashable],
    margin: float,
    direction: Direction,
) -> float:
    """p-value of "the candidate is within its margin" against "it is beyond"."""
    worse_below = stats.permutation_test(first + margin, second, clusters, "less")
    worse_above = stats.permutation_test(first - margin, second, clusters, "greater")
    if direction == Direction.NONE:
        return min(1.0, 2 * min(worse_below, worse_above))
    return worse_below if direction == Direction.HIGHER else worse_above


def hold_family(rows: Sequence[CheckResult], alpha: float = ALPHA) -> list[CheckResult]:
    """Regressions that stand when all of them are tested at once (Holm 1979).

    A row whose adjusted p-value is above ``alpha`` is ``inconclusive`` instead:
    with many checks one interval in twenty lies beyond its margin by chance. Every
    undecided row gets the number of pairs that would decide it.
    """
    tested = [index for index, row in enumerate(rows) if row.p_value is not None]
    adjusted = stats.holm([row.p_value for row in rows if row.p_value is not None])
    held = list(rows)
    for index, p_value in zip(tested, adjusted, strict=True):
        row = replace(held[index], p_value=float(p_value))
        if row.verdict == Verdict.REGRESSION and p_value > alpha:
            said = "beyond the margin, but not over all checks"
            row = replace(
                row,
                verdict=Verdict.INCONCLUSIVE,
                note=said if row.note is None else f"{said}; {row.note}",
            )
        held[index] = row
    # Holm's first step: one-sided, at the level of all of them.
    beyond = min(alpha, 2 * alpha / max(1, len(tested)))
    return [replace(row, needed_n=_needed_n(row, alpha, beyond)) for row in held]


def spread_of(ci95: stats.Interval, n: int) -> float:
    """Standard deviation of a pair, from a 95% interval's half width of 1.96 errors."""
    spread: float = (ci95[1] - ci95[0]) / (2 * 1.96) * float(n) ** 0.5
    return spread


def _needed_n(row: CheckResult, alpha: float, beyond: float) -> int | None:
    """From the difference to the nearest edge of the margin, with 80% power.

    On the edge itself no number decides. ``beyond``: the level of a regression.
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


def winners_and_losers(
    candidate: Measurement,
    baseline: Measurement,
    candidate_keys: Sequence[Key],
    baseline_keys: Sequence[Key],
    count: int = 5,
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Prompts where the candidate gains and loses most: (prompt, mean difference)."""
    first, second, prompts = _pair(candidate, baseline, candidate_keys, baseline_keys)
    names = list(dict.fromkeys(prompts))
    means = dict(zip(names, _cluster_means(first - second, prompts), strict=True))
    sign = -1.0 if candidate.direction == Direction.LOWER else 1.0
    ordered = sorted(((name, float(value)) for name, value in means.items()),
                     key=lambda item: -sign * item[1])  # fmt: skip
    return ordered[:count], ordered[::-1][:count]


def _check_fingerprints(candidate: Measurement, baseline: Measurement) -> None:
    if candidate.name != baseline.name or candidate.fingerprint != baseline.fingerprint:
        raise InputError(
            f"{candidate.name} {candidate.fingerprint[:12]} and {baseline.name} "
            f"{baseline.fingerprint[:12]}: measured with different things (extractor, reference, "
            "preprocessing or version); measure both alike"
        )


def _pair(
    candidate: Measurement,
    baseline: Measurement,
    candidate_keys: Sequence[Key],
    baseline_keys: Sequence[Key],
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    assert candidate.per_image is not None and baseline.per_image is not None
    there = dict(zip(baseline_keys, baseline.per_image, strict=True))
    here = dict(zip(candidate_keys, candidate.per_image, strict=True))
    if len(here) != len(candidate_keys) or set(here) != set(there):
        raise InputError(
            f"{candidate.name}: {len(here)} images of the candidate and {len(there)} of the "
            "baseline do not pair; compare equal prompts and seeds"
        )
    keys = list(here)
    first, second = (np.array([side[key] for key in keys]) for side in (here, there))
    return first, second, [prompt for prompt, _ in keys]


def _cluster_means(values: np.ndarray, clusters: Sequence[str]) -> np.ndarray:
    index = stats.cluster_index(clusters)
    return np.bincount(index, values) / np.bincount(index)
