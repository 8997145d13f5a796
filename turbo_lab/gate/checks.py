"""Verdicts of a gate: of each check, and of all checks together.

Pure: evidence in, results out. The policy is in :mod:`turbo_lab.gate.policy`; drawing and
timing are in :mod:`turbo_lab.gate.run_checks`.
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
from turbo_lab.store.record import Measurement
from turbo_lab.verdict import Direction, Verdict, worst

if TYPE_CHECKING:
    from turbo_lab.runtime.paired_timing import PairedEnergy


def license_check(licenses: Mapping[str, str], allowed: Sequence[str]) -> CheckResult:
    """Judge the licence of each model, adapter and VAE against the allow-list.

    ``licenses``: licence by name, as the card of each states it.
    """
    refused = {name: text for name, text in licenses.items() if text not in allowed}
    note = "; ".join(f"{name}: {text}" for name, text in refused.items()) or None
    verdict = Verdict.REGRESSION if refused else Verdict.PASS
    return CheckResult.without_value("licenses", verdict, note, len(licenses))


def floor_check(measured: Measurement, minimum: float) -> CheckResult:
    """Judge whether a metric of the candidate reaches a value; no baseline is needed.

    It passes if the whole 95% interval is at or above the minimum, and regresses if the whole
    interval is below. Without an interval it is ``uncovered``.
    """
    name = f"{measured.name} min"
    if measured.value is None or measured.ci95 is None:
        note = f"{measured.name} has no interval; draw more prompts"
        return CheckResult.without_value(name, Verdict.UNCOVERED, note)
    low, high = (end - minimum for end in measured.ci95)
    return CheckResult(
        name=name,
        verdict=stats.verdict((low, high), 0.0, Direction.HIGHER),
        value=measured.value,
        baseline=minimum,
        difference=measured.value - minimum,
        ci95=(low, high),
        margin=0.0,
        n=measured.n,
        unit=measured.unit,
        direction=Direction.HIGHER,
        note="the baseline of this row is the policy's minimum",
    )


def golden_check(
    judged: Sequence[CaseVerdict], min_cases: int, loosest: Tier = "T2"
) -> CheckResult:
    """Judge the goldens by the worst of them; too few covered ones are ``uncovered``.

    A case that only a tier looser than ``loosest`` covers is not covered.
    """
    verdicts = [_within_tier(one, loosest) for one in judged]
    verdict = worst(verdicts)
    notes = [_count_by_tier(judged)] if judged else []
    covered = len(covered_cases(judged, loosest))
    if covered < min_cases:
        verdict = worst([verdict, Verdict.UNCOVERED])
        notes.append(f"{covered} cases covered, {min_cases} required")
    notes += [
        _failed_case(one, within, loosest)
        for one, within in zip(judged, verdicts, strict=True)
        if within != Verdict.PASS
    ]
    if failing := [one.name for one in judged if one.verdict == Verdict.REGRESSION]:
        notes.append(f"find the cause: turbo-lab golden check {' '.join(failing)} --explain")
    return CheckResult.without_value("goldens", verdict, "; ".join(notes) or None, covered)


def _failed_case(judged: CaseVerdict, within: Verdict, loosest: Tier) -> str:
    """Return a case that does not pass, with the first stage that differs."""
    is_too_loose = judged.tier is not None and within == Verdict.UNCOVERED
    first = judged.first_divergence
    return (
        f"{judged.name}: {within}"
        + (f" at {loosest}" if is_too_loose else "")
        + ("" if first is None else f", first at {first.stage}")
    )


def covered_cases(judged: Sequence[CaseVerdict], loosest: Tier = "T2") -> list[str]:
    """Return the names of the cases that pass or regress at ``loosest`` or a stricter tier."""
    return [
        one.name
        for one in judged
        if _within_tier(one, loosest) in (Verdict.PASS, Verdict.REGRESSION)
    ]


def coverage_check(missing: Sequence[str], required: Sequence[str]) -> CheckResult:
    """Judge the coverage of the goldens.

    ``missing``: those of the ``required`` features that no judged golden has.
    """
    note = f"no judged golden covers {', '.join(missing)}" if missing else None
    covered = len(required) - len(missing)
    verdict = Verdict.UNCOVERED if missing else Verdict.PASS
    return CheckResult.without_value("coverage", verdict, note, covered)


def invariance_check(broken: Mapping[str, int | None], rows: int) -> CheckResult:
    """Judge the invariance rows.

    ``broken``: rows that changed the images, with their largest difference in levels of 255, or
    ``None`` if hashes were compared. ``rows``: number of rows that could be compared.
    """
    notes = [
        f"{name}: {'the hashes differ' if levels is None else f'up to {levels} levels'}"
        for name, levels in broken.items()
    ]
    verdict = Verdict.REGRESSION if broken else Verdict.PASS
    return CheckResult.without_value("invariance", verdict, "; ".join(notes) or None, rows)


def mutation_check(missed: Sequence[str], total: int, false_alarms: Sequence[str]) -> CheckResult:
    """Judge the goldens by the faults that they catch and the harmless changes that they pass.

    ``total``: number of faults that the cases can show; with 0, the check is ``uncovered``.
    """
    if not total:
        note = "these cases cannot show any fault"
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
    """Judge the ratio of the candidate's mean to the baseline's; lower is better.

    ``candidate``, ``baseline``: (n,) positive values, measured in pairs in one run. ``margin``:
    how far the ratio may be above 1.
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
    """Judge the ratio of the candidate's energy to the baseline's; lower is better.

    If the counter did not advance in some blocks, there is no ratio: the check is ``uncovered``.
    """
    candidate, baseline = energy.blocks_b_j, energy.blocks_a_j
    if min(*candidate, *baseline) <= 0:
        note = "the device's counter did not advance in some blocks, which were too short for it"
        return CheckResult.without_value("energy", Verdict.UNCOVERED, note)
    joules = [sum(side) / len(side) / images_per_call for side in (candidate, baseline)]
    note = f"{joules[0]:.3g} J per image, the baseline's {joules[1]:.3g}"
    if energy.method == "power":
        note += "; by mean power times time, because the device has no energy counter"
    return ratio_check("energy", candidate, baseline, margin=margin, note=note)


def stored_ratio_check(
    name: str,
    candidate: Sequence[float],
    stored: Sequence[float],
    margin: float,
    note: str | None = None,
) -> CheckResult:
    """Judge the ratio of the candidate's median to a stored baseline's; lower is better.

    ``candidate``, ``stored``: (n,) and (m,) positive values, measured apart. The interval joins
    the worst ends of the intervals of both medians. Two equal pipelines leave it less than once
    in a hundred runs, so it takes no part in Holm's correction. ``uncovered`` with fewer than
    six samples per side.
    """
    here, there = stats.median_ci(candidate), stats.median_ci(stored)
    if here is None or there is None:
        return CheckResult.without_value(
            name,
            Verdict.UNCOVERED,
            f"{len(candidate)} calls now and {len(stored)} stored ones; needs six of each",
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
    """Judge the difference between two distances to a reference set; lower is better.

    ``distances``: the candidate's and the baseline's. ``ci95``: interval of their difference.
    """
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
    """Return the gate's verdict, and its checks corrected for their number.

    Raises ``InputError`` for a policy without checks.
    """
    corrected = apply_holm(rows)
    if not corrected:
        raise InputError("gate: the policy has no checks; give it at least one")
    return worst([row.verdict for row in corrected]), corrected


def _within_tier(one: CaseVerdict, loosest: Tier) -> Verdict:
    if one.tier is not None and TIERS.index(one.tier) > TIERS.index(loosest):
        return Verdict.UNCOVERED
    return one.verdict


def _count_by_tier(judged: Sequence[CaseVerdict]) -> str:
    """Return a text such as ``9 at T1, 7 of them identical to the bit``."""
    counts = []
    for tier in TIERS:
        of_tier = [one for one in judged if one.tier == tier]
        if of_tier:
            same = sum(one.identical for one in of_tier)
            identical = "" if tier == "T0" else f", {same} of them identical to the bit"
            counts.append(f"{len(of_tier)} at {tier}{identical}")
    return "; ".join(counts) or "none could be judged"


def _detectable(ci95: stats.Interval | None, n: int) -> float | None:
    return None if ci95 is None else stats.minimum_detectable_effect(spread_of(ci95, n), n)
