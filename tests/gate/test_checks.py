"""Checks of a gate on made-up evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from turbo_lab.documents.gate import CheckResult
from turbo_lab.documents.golden import StageDifference, Tier
from turbo_lab.errors import InputError
from turbo_lab.gate import checks as gate
from turbo_lab.golden.judgement import CaseVerdict
from turbo_lab.runtime.paired_timing import PairedEnergy
from turbo_lab.store.record import Measurement
from turbo_lab.verdict import Direction, Verdict


def test_licences_are_read_against_the_list() -> None:
    assert gate.license_check({"a": "MIT"}, ("MIT",)).verdict == "pass"
    row = gate.license_check({"a": "MIT", "b": "non-commercial"}, ("MIT",))
    assert (row.verdict, row.note) == ("regression", "b: non-commercial")


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [
        ((0.80, 0.90), "pass"),
        ((0.79, 0.90), "inconclusive"),
        ((0.70, 0.799), "regression"),
        (None, "uncovered"),
    ],
)
def test_a_minimum_holds_for_the_whole_interval(
    ci95: tuple[float, float] | None, verdict: str
) -> None:
    measured = Measurement("clip_score", 0.85, "cosine", 128, Direction.HIGHER, "a", ci95)
    row = gate.floor_check(measured, 0.8)
    assert (row.name, row.verdict) == ("clip_score min", verdict)
    if ci95 is not None:
        assert (row.value, row.baseline) == (0.85, 0.8)
        assert row.ci95 == pytest.approx((ci95[0] - 0.8, ci95[1] - 0.8))


def cases(*verdicts: str, tier: Tier | None = "T0") -> list[CaseVerdict]:
    return [CaseVerdict(f"case{i}", verdict, tier, "") for i, verdict in enumerate(verdicts)]


def test_goldens_need_enough_cases() -> None:
    row = gate.golden_check(cases("pass", "pass"), 2)
    assert (row.verdict, row.n, row.note) == ("pass", 2, "2 at T0")
    few = gate.golden_check(cases("pass"), 2)
    assert (few.verdict, few.note) == ("uncovered", "1 at T0; 1 cases covered, 2 required")
    assert gate.golden_check(cases("pass", "regression"), 2).verdict == "regression"
    assert gate.golden_check(cases("error", "regression"), 0).verdict == "error"
    assert gate.golden_check(cases("uncovered", "pass"), 1).verdict == "uncovered"
    assert gate.golden_check(cases("error", tier=None), 0).verdict == "error"


def test_a_failing_golden_names_its_first_stage_and_the_command_to_run_next() -> None:
    stage = StageDifference("unet.0", False, 0.1, 0.2, False)
    failing = replace(cases("regression")[0], first_divergence=stage)
    note = gate.golden_check([failing, *cases("pass")[:1]], 0).note or ""
    assert "case0: regression, first at unet.0" in note
    assert note.endswith("find the cause: turbo-lab golden check case0 --explain")


def test_a_golden_that_only_a_looser_tier_covers_is_uncovered() -> None:
    found = [*cases("pass"), CaseVerdict("far", "pass", "T2", "", identical=False)]
    assert gate.golden_check(found, 2).verdict == "pass"
    row = gate.golden_check(found, 1, "T1")
    assert (row.verdict, row.n) == ("uncovered", 1)
    assert "far: uncovered at T1" in (row.note or "")
    assert gate.covered_cases(found, "T1") == ["case0"]
    note = gate.golden_check([CaseVerdict("a", "pass", "T1", "", identical=True)], 1).note
    assert note == "1 at T1, 1 of them identical to the bit"


def test_required_coverage_names_what_is_lacking() -> None:
    row = gate.coverage_check(["lora"], ["lora", "batch"])
    assert (row.verdict, row.n, row.note) == ("uncovered", 1, "no judged golden covers lora")
    assert gate.coverage_check([], ["lora"]).verdict == "pass"


def test_what_must_not_matter_is_named_where_it_does() -> None:
    assert gate.invariance_check({}, 9).verdict == "pass"
    row = gate.invariance_check({"prompt order": 7}, 9)
    assert (row.verdict, row.note) == ("regression", "prompt order: up to 7 levels")


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "pass"), (0.5, "pass"), (1.4, "regression"), (1.2, "inconclusive")],
)
def test_ratios_are_judged_by_their_interval(factor: float, verdict: str) -> None:
    """Twelve pairs of blocks with 3% of noise, at a margin of 20%."""
    draws = np.random.default_rng(0)
    baseline = 1 + 0.03 * draws.standard_normal(12)
    candidate = factor * (1 + 0.03 * draws.standard_normal(12))
    row = gate.ratio_check("latency", candidate.tolist(), baseline.tolist(), 0.2)
    assert gate.decide([row])[0] == verdict
    assert row.difference == pytest.approx(factor - 1, abs=0.04)
    # 2.8 standard errors of a ratio of two means of twelve.
    expected = 2.8 * 0.03 * factor * (2 / 12) ** 0.5
    assert row.minimum_detectable_effect == pytest.approx(expected, rel=0.5)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "pass"), (1.5, "regression"), (1.2, "inconclusive")]
)
def test_a_stored_time_is_judged_by_the_worst_ends_of_both_medians(
    factor: float, verdict: str
) -> None:
    draws = np.random.default_rng(0)
    stored = 1 + 0.05 * draws.standard_normal(40)
    here = factor * (1 + 0.05 * draws.standard_normal(30))
    row = gate.stored_ratio_check("latency", here.tolist(), stored.tolist(), 0.2)
    assert (gate.decide([row])[0], row.n, row.p_value) == (verdict, 30, None)
    assert row.ci95 is not None and row.ci95[0] < factor - 1 < row.ci95[1]


def energies(a_j: float, b_j: float, method: str = "counter") -> PairedEnergy:
    draws = np.random.default_rng(0)
    sides = ((joules * (1 + 0.02 * draws.standard_normal(12))).tolist() for joules in (a_j, b_j))
    first, second = (tuple(side) for side in sides)
    return PairedEnergy(first, second, method)


@pytest.mark.parametrize(("b_j", "verdict"), [(40.0, "pass"), (60.0, "regression")])
def test_energy_is_judged_as_a_ratio_of_pairs(b_j: float, verdict: str) -> None:
    row = gate.energy_check(energies(40.0, b_j), 0.1, images_per_call=4)
    assert (gate.decide([row])[0], row.name, row.n) == (verdict, "energy", 12)
    assert row.value == pytest.approx(b_j / 40, rel=0.03)
    assert row.note is not None and "J per image, the baseline's 10" in row.note
    by_power = gate.energy_check(energies(40.0, b_j, "power"), 0.1, images_per_call=4)
    assert by_power.note is not None and "mean power times time" in by_power.note


def test_blocks_in_which_the_counter_stood_still_are_uncovered() -> None:
    row = gate.energy_check(PairedEnergy((0.0,) * 12, (1.0,) * 12, "counter"), 0.1, 1)
    assert row.verdict == "uncovered" and "did not advance" in (row.note or "")


def test_equal_pipelines_timed_apart_seldom_look_different() -> None:
    draws, outside = np.random.default_rng(1), 0
    for _ in range(400):
        here, there = draws.gamma(50, 0.02, 30), draws.gamma(50, 0.02, 30)
        row = gate.stored_ratio_check("latency", here.tolist(), there.tolist(), 0.0)
        outside += row.verdict == "regression"
    assert outside <= 4


def test_too_few_stored_times_are_uncovered() -> None:
    assert gate.stored_ratio_check("latency", [1.0] * 30, [1.0] * 5, 0.2).verdict == "uncovered"


def test_a_ratio_of_equal_memory_has_no_spread_and_passes() -> None:
    row = gate.ratio_check("memory", [100] * 8, [100] * 8, 0.1)
    assert (row.verdict, row.ci95) == ("pass", (0.0, 0.0))


def test_a_distance_regresses_only_beyond_its_margin() -> None:
    row = gate.distance_check(
        "fd/nano-clip", (5.0, 2.0), ci95=(2.5, 3.5), p_value=0.001, margin=1.0, num_images=128
    )
    assert (row.verdict, row.difference, row.n) == ("regression", 3.0, 128)
    assert gate.decide([row])[0] == "regression"
    row = gate.distance_check(
        "fd/nano-clip", (2.1, 2.0), ci95=(-0.4, 0.6), p_value=0.9, margin=1.0, num_images=128
    )
    assert row.verdict == "pass"


def test_the_mutation_score_and_false_alarms() -> None:
    assert gate.mutation_check([], 20, []).verdict == "pass"
    row = gate.mutation_check(["lora dropped"], 20, ["threads"])
    assert (row.verdict, row.value) == ("regression", 0.95)
    assert row.note == "missed: lora dropped; false alarms: threads"
    assert gate.mutation_check([], 20, ["threads"]).verdict == "regression"
    assert gate.mutation_check([], 0, []).verdict == "uncovered"


def test_the_worst_check_decides_and_nothing_asked_is_refused() -> None:
    uncovered = CheckResult.without_value("a", Verdict.UNCOVERED, "why")
    rows = [uncovered, gate.license_check({}, ("MIT",))]
    assert gate.decide(rows)[0] == "uncovered"
    with pytest.raises(InputError, match="the policy has no checks"):
        gate.decide([])
