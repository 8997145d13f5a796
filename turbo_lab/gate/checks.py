"""The gate: what each check says, and what the checks say together.

Pure: owns the checks that need no pipeline, and how many verdicts become one.
The policy is in :mod:`turbo_lab.gate.policy`; what draws and times is in
:mod:`turbo_lab.gate.run_checks`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turbo_lab.analysis import stats
from turbo_lab.compare.paired import apply_holm, spread_of
from turbo_lab.documents.gate import CheckResult
from turbo_lab.documents.golden import Tier
from turbo_lab.errors import InputError
from turbo_lab.golden.judgement import CaseVerdict
from turbo_lab.golden.tiers import TIERS
from turbo_lab.verdict import Direction, Verdict, worst

if TYPE_CHECKING:
    from turbo_lab.runtime.paired_timing import PairedEnergy


def license_check(licenses: Mapping[str, str], allowed: Sequence[str]) -> CheckResult:
    """Every weight's licence, as its own card states it, against the allow-list."""
    refused = {name: text for name, text in licenses.items() if text not in allowed}
    note = "; ".join(f"{name}: {text}" for name, text in refused.items()) or None
    verdict = Verdict.REGRESSION if refused else Verdict.PASS
    return CheckResult.without_value("licenses", verdict, note, len(licenses))


def golden_check(found: Sequence[CaseVerdict], min_cases: int, loosest: Tier = "T2") -> CheckResult:
    """The worst of the goldens; too few covered ones are ``uncovered``.

    A case that only a tier looser than ``loosest`` covers is not covered.
    """
    verdicts = [_within_tier(one, loosest) for one in found]
    verdict = worst(verdicts)
    notes = [_tiers_text(found)] if found else []
    covered = len(covered_cases(found, loosest))
    if covered < min_cases:
        verdict = worst([verdict, Verdict.UNCOVERED])
        notes.append(f"{covered} cases covered, {min_cases} required")
    notes += [
        f"{one.name}: {said}"
        + ("" if one.tier is None or said != Verdict.UNCOVERED else f" at {loosest}")
        for one, said in zip(found, verdicts, strict=True)
        if said != Verdict.PASS
    ]
    return CheckResult.without_value("goldens", verdict, "; ".join(notes) or None, covered)


def covered_cases(found: Sequence[CaseVerdict], loosest: Tier = "T2") -> list[str]:
    """Names of the cases that were judged, whichever way."""
    return [
        one.name
        for one in found
        if _within_tier(one, loosest) in (Verdict.PASS, Verdict.REGRESSION)
    ]


def coverage_check(lacking: Sequence[str], required: Sequence[str]) -> CheckResult:
    """Whether some judged golden has each of the required features."""
    note = f"no judged golden covers {', '.join(lacking)}" if lacking else None
    covered = len(required) - len(lacking)
    verdict = Verdict.UNCOVERED if lacking else Verdict.PASS
    return CheckResult.without_value("coverage", verdict, note, covered)


def invariance_check(broken: Mapping[str, int | None], rows: int) -> CheckResult:
    """Judge the invariance rows.

    ``broken``: rows that changed the result, with their largest difference in levels;
    ``None``: other hashes.
    """
    told = [
        f"{name}: {'other hashes' if levels is None else f'up to {levels} levels'}"
        for name, levels in broken.items()
    ]
    verdict = Verdict.REGRESSION if broken else Verdict.PASS
    return CheckResult.without_value("invariance", verdict, "; ".join(told) or None, rows)


def mutation_check(missed: Sequence[str], total: int, false_alarms: Sequence[str]) -> CheckResult:
    """Whether the goldens see every fault that they are there for, and nothing harmless.

    ``total``: faults that the cases can show; none of them is ``uncovered``.
    """
    if not total:
        note = "these cases can show no fault"
        return CheckResult.without_value("mutation score", Verdict.UNCOVERED, note)
    notes = [f"missed: {', '.join(missed)}"] if missed else []
    notes += [f"false alarms: {', '.join(false_alarms)}"] if false_alarms else []
    return CheckResult(
        name="mutation score",
        verdict=Verdict.REGRESSION if notes else Verdict.PASS,
        value=1 - len(missed) / total,
        baseline=None,
        difference=None,
        ci95=None,
        margin=None,
        n=total,
        minimum_detectable_effect=None,
        unit="fraction",
        direction=Direction.HIGHER,
        note="; ".join(notes) or None,
    )


def ratio_check(
    name: str,
    candidate: Sequence[float],
    baseline: Sequence[float],
    margin: float,
    note: str | None = None,
) -> CheckResult:
    """Mean of the candidate over the baseline's against ``1 + margin``; lower is better.

    ``candidate``, ``baseline``: (n,) positive, measured in pairs in one run.
    """
    ci95 = stats.bootstrap_ratio_ci(candidate, baseline)
    ratio = sum(candidate) / sum(baseline)
    difference = ci95 and (ci95[0] - 1, ci95[1] - 1)
    verdict = stats.verdict(difference, margin, Direction.LOWER)
    allowed = [(1 + margin) * value for value in baseline]
    return CheckResult(
        name=name,
        verdict=verdict,
        value=ratio,
        baseline=1.0,
        difference=ratio - 1,
        ci95=difference,
        margin=margin,
        n=len(candidate),
        minimum_detectable_effect=_detectable(difference, len(candidate)),
        unit="ratio",
        direction=Direction.LOWER,
        note=note,
        p_value=stats.permutation_test(candidate, allowed, None, "greater"),
    )


def energy_check(energy: PairedEnergy, margin: float, images_per_call: int) -> CheckResult:
    """Energy of the candidate over the baseline's against ``1 + margin``; lower is better.

    Blocks in which the counter did not advance have no ratio: the check is ``uncovered``.
    """
    candidate, baseline = energy.blocks_b_j, energy.blocks_a_j
    if min(*candidate, *baseline) <= 0:
        note = "the device's counter did not advance in some blocks: they are too short for it"
        return CheckResult.without_value("energy", Verdict.UNCOVERED, note)
    joules = [sum(side) / len(side) / images_per_call for side in (candidate, baseline)]
    note = f"{joules[0]:.3g} J per image, the baseline's {joules[1]:.3g}"
    if energy.method == "power":
        note += "; by mean power times time, because the device has no energy counter"
    return ratio_check("energy", candidate, baseline, margin, note)


def stored_ratio_check(
    name: str,
    candidate: Sequence[float],
    stored: Sequence[float],
    margin: float,
    note: str | None = None,
) -> CheckResult:
    """Median of the candidate over that of a stored baseline, timed apart; lower is better.

    (n,) and (m,) positive. The interval joins the worst ends of both medians' own,
    which two equal pipelines leave less than once in a hundred: it takes no part in
    Holm's. ``uncovered`` below six samples a side.
    """
    here, there = stats.median_ci(candidate), stats.median_ci(stored)
    if here is None or there is None:
        return CheckResult.without_value(
            name, Verdict.UNCOVERED, f"{len(stored)} stored calls: six have an interval"
        )
    low, high = here[0] / there[1] - 1, here[1] / there[0] - 1
    ratio = statistics.median(candidate) / statistics.median(stored)
    count = min(len(candidate), len(stored))
    return CheckResult(
        name=name,
        verdict=stats.verdict((low, high), margin, Direction.LOWER),
        value=ratio,
        baseline=1.0,
        difference=ratio - 1,
        ci95=(low, high),
        margin=margin,
        n=count,
        minimum_detectable_effect=_detectable((low, high), count),
        unit="ratio",
        direction=Direction.LOWER,
        note=note,
    )


def distance_check(
    name: str,
    distances: tuple[float, float],
    ci95: stats.Interval,
    p_value: float,
    margin: float,
    num_images: int,
) -> CheckResult:
    """A distance to a reference set: (candidate's, baseline's), and their paired difference."""
    candidate, baseline = distances
    return CheckResult(
        name=name,
        verdict=stats.verdict(ci95, margin, Direction.LOWER),
        value=candidate,
        baseline=baseline,
        difference=candidate - baseline,
        ci95=ci95,
        margin=margin,
        n=num_images,
        minimum_detectable_effect=_detectable(ci95, num_images),
        unit="squared distance",
        direction=Direction.LOWER,
        p_value=p_value,
    )


def decide(rows: Sequence[CheckResult]) -> tuple[Verdict, list[CheckResult]]:
    """The gate's verdict and its checks, false alarms held over all of them."""
    held = apply_holm(rows)
    if not held:
        raise InputError("gate: the policy asks nothing; give it at least one check")
    return worst([row.verdict for row in held]), held


def _within_tier(one: CaseVerdict, loosest: Tier) -> Verdict:
    if one.tier is not None and TIERS.index(one.tier) > TIERS.index(loosest):
        return Verdict.UNCOVERED
    return one.verdict


def _tiers_text(found: Sequence[CaseVerdict]) -> str:
    """Such as ``9 cases at T1, 7 of them identical to the bit``."""
    texts = []
    for tier in TIERS:
        of_tier = [one for one in found if one.tier == tier]
        if of_tier:
            same = sum(one.identical for one in of_tier)
            kept = "" if tier == "T0" else f", {same} of them identical to the bit"
            texts.append(f"{len(of_tier)} at {tier}{kept}")
    return "; ".join(texts) or "none could be judged"


def _detectable(ci95: stats.Interval | None, n: int) -> float | None:
    return None if ci95 is None else stats.minimum_detectable_effect(spread_of(ci95, n), n)
