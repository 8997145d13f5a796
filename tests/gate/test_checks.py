"""The policy, its checks, and how they decide together."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from tests.report.browser import run_in_page
from turbo_lab.cards import conf_dir
from turbo_lab.documents.gate import BaselineKey, CheckResult, GateReport
from turbo_lab.documents.golden import Tier
from turbo_lab.errors import InputError
from turbo_lab.gate import checks as gate
from turbo_lab.gate.policy import Policy
from turbo_lab.golden.judgement import CaseVerdict
from turbo_lab.report.html.gate import gate_page
from turbo_lab.report.junit import gate_junit
from turbo_lab.report.markdown import gate_markdown
from turbo_lab.runtime.paired_timing import PairedEnergy
from turbo_lab.verdict import Direction, Verdict

RELEASE = yaml.safe_load((conf_dir() / "gate" / "release.yaml").read_text())
NASTY = "<b>| `x` & \"y\" <script>errors.push('ran')</script>"


def test_the_release_policies_are_valid() -> None:
    policy = Policy.from_config(RELEASE)
    assert policy.goldens == () and policy.latency is None and policy.baseline == "release"
    assert policy.quality["clip_score"].margin == 0.02
    assert set(RELEASE) == {field.name for field in fields(Policy)}


def test_a_policy_of_its_own_has_a_baseline_of_its_name() -> None:
    policy = Policy.from_config({"name": "mine", "licenses": ["MIT"], "mutation": ["a", "b"]})
    assert (policy.baseline, policy.goldens, policy.golden_tier) == ("mine", None, "T2")
    assert policy.named_cases() == ("a", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "none"}, "name a policy"),
        ({"name": 3}, "gate.name=3: must be a name"),
        ({"baseline": ""}, "gate.baseline=: must be a name"),
        ({"latancy": 0.2}, "Did you mean latency?"),
        ({"latency": -0.1}, "must be a number of at least 0"),
        ({"latency": "fast"}, "gate.latency=fast"),
        ({"energy": -1}, "gate.energy=-1: must be a number of at least 0"),
        ({"memory": True}, "gate.memory=True: must be a number of at least 0"),
        ({"frechet": float("nan")}, "gate.frechet=nan"),
        ({"min_goldens": True}, "whole number"),
        ({"retries": 1.5}, "gate.retries=1.5: must be a whole number"),
        ({"goldens": 3}, "all, none or a list"),
        ({"invariance": []}, "gate.invariance=.*: must be all, none or a list"),
        ({"mutation": 1.0}, "gate.mutation=1.0: must be all, none or a list"),
        ({"golden_tier": "T3"}, "gate.golden_tier=T3: must be one of T0, T1, T2"),
        ({"coverage": ["guidence"]}, "Did you mean guidance?"),
        ({"coverage": "lora"}, "gate.coverage=lora: must be a list of names"),
        ({"licenses": "MIT"}, "gate.licenses=MIT: must be a list of names"),
        ({"quality": ["clip_score"]}, "one metric per line, each with a margin"),
        ({"quality": {"clip_scor": {"margin": 0.1}}}, "Did you mean clip_score?"),
        ({"quality": {"fd": {"margin": 0.1}}}, "use gate.frechet for fd"),
        ({"quality": {"diversity": {"margin": 0.1}}}, "use one of clip_score, r_precision"),
        ({"quality": {"clip_score": 0.02}}, "must have a margin"),
        ({"quality": {"clip_score": {"margin": None}}}, "must be a number"),
        ({"quality": {"clip_score": {"margin": 0.1, "sided": 2}}}, "must have a margin"),
        ({"quality": {"clip_score": {"margin": 0.1, "two_sided": "no"}}}, "true or false"),
    ],
)
def test_a_wrong_policy_is_explained(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Policy.from_config(RELEASE | change)


def test_a_figure_is_left_out_by_null() -> None:
    policy = Policy.from_config(RELEASE | {"quality": {"clip_score": None}})
    assert policy.quality == {}


def test_licences_are_read_against_the_list() -> None:
    assert gate.license_check({"a": "MIT"}, ("MIT",)).verdict == "pass"
    row = gate.license_check({"a": "MIT", "b": "non-commercial"}, ("MIT",))
    assert (row.verdict, row.note) == ("regression", "b: non-commercial")


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


def report() -> GateReport:
    checks = (
        CheckResult(
            name="clip_score",
            verdict=Verdict.REGRESSION,
            value=0.8,
            baseline=0.9,
            difference=-0.1,
            ci95=(-0.12, -0.08),
            margin=0.02,
            n=128,
            minimum_detectable_effect=0.01,
            direction=Direction.HIGHER,
        ),
        CheckResult(
            name="r_precision",
            verdict=Verdict.INCONCLUSIVE,
            value=0.9,
            baseline=0.91,
            difference=-0.01,
            ci95=(-0.1, 0.05),
            margin=0.05,
            n=128,
            minimum_detectable_effect=0.06,
            direction=Direction.HIGHER,
            note=NASTY,
        ),
        CheckResult(name="licenses", verdict=Verdict.PASS, n=1),
        CheckResult(name="goldens", verdict=Verdict.UNCOVERED, n=0, note="none"),
    )
    return GateReport(
        verdict=Verdict.REGRESSION,
        gate="release",
        checks=checks,
        candidate=("model=x",),
        baseline="release",
        baseline_digest=None,
        prompts={"clip_score": ((NASTY, -0.4), ("a | b", -0.1))},
        identical_images=None,
        from_store=None,
        fingerprint={},
        fingerprint_difference=(BaselineKey("torch", "2.13", NASTY),),
    )


def test_junit_is_well_formed_and_counts() -> None:
    suite = ElementTree.fromstring(gate_junit(report()))
    assert {k: suite.get(k) for k in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
    }
    cases = {case.get("name"): case for case in suite}
    failure = cases["r_precision"].find("failure")
    assert failure is not None and NASTY in (failure.get("message") or "")
    assert cases["licenses"].find("failure") is None


def test_markdown_keeps_its_table_whatever_the_text() -> None:
    lines = gate_markdown(report()).splitlines()
    table = [line for line in lines if line.startswith("| ")][2:6]
    assert len(table) == 4
    for line in table:
        unescaped = line.replace("\\|", "")
        assert unescaped.count("|") == 9, line
    text = gate_markdown(report())
    assert "<script>" not in text.replace("\\<", "")
    assert "(-0.40); a \\| b (-0.10)." in text.splitlines()[-5]


def test_the_page_in_the_browser() -> None:
    found = run_in_page(
        gate_page(report()),
        """
        const all = (q) => [...document.querySelectorAll(q)];
        found.verdict = document.querySelector("header .verdict").textContent;
        found.note = document.querySelector("tbody").rows[1].cells[8].textContent;
        found.bars = all("svg .bar").length;
        found.pairs = all(".pair p").map((p) => p.textContent);
        document.querySelectorAll("th button")[2].click();
        found.sorted = [...document.querySelector("tbody").rows].map((r) => r.cells[0].textContent);
        """,
    )
    assert found["errors"] == []
    assert (found["verdict"], found["note"], found["bars"]) == ("regression", NASTY, 2)
    assert found["pairs"] == [f"{NASTY} -0.400", "a | b -0.100"]
    assert found["sorted"] == ["clip_score", "r_precision", "licenses", "goldens"]
