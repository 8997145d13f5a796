"""Rows of gates and goldens, from which JUnit, annotations and summaries are written."""

from __future__ import annotations

from tests.history.entries import occasion
from tests.report.gates import check_result, gate_report, with_origin
from turbo_lab.documents.gate import CheckResult, GateGolden
from turbo_lab.documents.golden import (
    CheckedCase,
    GoldenCheck,
    GoldenInvariance,
    Invariance,
    StageDifference,
)
from turbo_lab.report.outcomes import gate_outcomes, golden_outcomes, invariance_outcomes
from turbo_lab.verdict import Verdict


def test_a_golden_of_a_gate_is_a_row_with_its_own_time() -> None:
    good = GateGolden("lcm-4steps", Verdict.PASS, "T0", "identical to the bit", None, 1.25)
    bad = GateGolden("turbo", Verdict.REGRESSION, "T1", "beyond rounding", "unet.0", 2.5)
    check = CheckResult(
        name="goldens", verdict=Verdict.REGRESSION, n=2, wall_s=5.0, goldens=(good, bad)
    )
    found = gate_outcomes(gate_report(check_result("pass", None), check))
    assert (found.title, found.class_name) == ("gate release", "gate.release")
    assert [(row.group, row.name, row.wall_s) for row in found.rows] == [
        ("", "clip_score", 0.0),
        ("", "goldens", 1.25),
        (".goldens", "lcm-4steps", 1.25),
        (".goldens", "turbo", 2.5),
    ]
    assert found.rows[-1].text == "beyond rounding; first at unet.0"


def test_properties_name_the_commit_and_the_content_of_both_sides() -> None:
    found = gate_outcomes(with_origin(gate_report()))
    assert "commit 0123456789ab, changed" in found.properties["origin"]
    assert found.properties["candidate digests"] == "model aaaaaaaaaaaa, results cccccccccccc"
    assert found.properties["baseline versions"] == "torch 2.13, diffusers 0.41"
    assert found.date == "2026-11-27T17:05:00+00:00"


def test_a_golden_check_has_a_row_per_case() -> None:
    first = StageDifference("vae", equal=False, max_abs=0.5, relative_l2=0.1, estimated=False)
    bad = CheckedCase(
        "one", Verdict.REGRESSION, "T0", "differs", first_divergence=first, wall_s=1.5
    )
    absent = CheckedCase("two", Verdict.UNCOVERED, None, "has no golden")
    check = GoldenCheck(Verdict.REGRESSION, (bad, absent), occasion())
    found = golden_outcomes(check)
    assert (found.title, found.verdict) == ("golden check", Verdict.REGRESSION)
    assert [(row.name, row.verdict, row.wall_s) for row in found.rows] == [
        ("one", Verdict.REGRESSION, 1.5),
        ("two", Verdict.UNCOVERED, 0.0),
    ]
    assert found.rows[0].text == "differs; first difference at vae, by up to 0.5 (relative L2 0.1)"
    assert found.date == occasion().date and len(found.properties["commit"]) == 40
    assert golden_outcomes(GoldenCheck(Verdict.UNCOVERED, ())).date == ""


def test_invariance_leaves_out_what_applies_to_no_case() -> None:
    rows = (
        Invariance("batch position", "T0", True, 13, None, "hashes"),
        Invariance("thread count", "T1", False, 13, 4, "images"),
        Invariance("resume", "T0", None, 0, None, "no case"),
    )
    found = invariance_outcomes(GoldenInvariance(Verdict.REGRESSION, rows))
    assert [(row.name, row.verdict) for row in found.rows] == [
        ("batch position", Verdict.PASS),
        ("thread count", Verdict.REGRESSION),
    ]
    assert found.rows[1].text == "T1, 13 cases, up to 4 levels of 255: images"
