"""JUnit XML of a gate."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.report.gates import NASTY, awkward_report, check_result, gate_report, with_origin
from turbo_lab.documents.gate import CheckResult, GateGolden
from turbo_lab.report.junit import gate_junit
from turbo_lab.verdict import Verdict


def test_undecided_checks_fail_and_checks_without_evidence_are_errors() -> None:
    checks = [check_result(verdict, (-0.01, 0.01), name=verdict) for verdict in Verdict]
    suite = ElementTree.fromstring(gate_junit(gate_report(*checks)))
    kinds = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert kinds == {
        "pass": [],
        "inconclusive": ["failure"],
        "uncovered": ["error"],
        "regression": ["failure"],
        "error": ["error"],
    }
    assert [suite.get(key) for key in ("tests", "failures", "errors")] == ["5", "2", "2"]


def test_each_golden_is_a_case_with_its_own_time() -> None:
    good = GateGolden("lcm-4steps", Verdict.PASS, "T0", "identical to the bit", None, 1.25)
    bad = GateGolden("turbo", Verdict.REGRESSION, "T1", "beyond rounding", "unet.0", 2.5)
    check = CheckResult(
        name="goldens", verdict=Verdict.REGRESSION, n=2, wall_s=5.0, goldens=(good, bad)
    )
    suite = ElementTree.fromstring(gate_junit(gate_report(check)))
    rows = [(case.get("classname"), case.get("name"), case.get("time")) for case in suite[1:]]
    assert rows == [
        ("gate.release", "goldens", "1.250"),
        ("gate.release.goldens", "lcm-4steps", "1.250"),
        ("gate.release.goldens", "turbo", "2.500"),
    ]
    assert suite.get("time") == "5.000" and suite.get("tests") == "3"
    failure = suite.find("testcase[@name='turbo']/failure")
    assert failure is not None
    assert failure.get("message") == "regression: beyond rounding; first at unet.0"


def test_properties_name_the_commit_and_the_content_of_both_sides() -> None:
    suite = ElementTree.fromstring(gate_junit(with_origin(gate_report())))
    found = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert found["origin"] is not None and "commit 0123456789ab, changed" in found["origin"]
    assert found["candidate digests"] == "model aaaaaaaaaaaa, results cccccccccccc"
    assert found["baseline versions"] == "torch 2.13, diffusers 0.41"
    assert suite.get("timestamp") == "2026-11-27T17:05:00+00:00"


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    """A message from a crashed worker may hold control characters, even with no escape in XML."""
    text = "terminal \x1b[31m red \x00 and \ud800 alone \U0001f4a5"
    suite = ElementTree.fromstring(gate_junit(gate_report(check_result("error", None, note=text))))
    error = suite.find("testcase/error")
    assert error is not None
    message = error.get("message") or ""
    assert "red" in message and "\U0001f4a5" in message and "\x1b" not in message


def test_junit_is_well_formed_and_counts() -> None:
    suite = ElementTree.fromstring(gate_junit(awkward_report()))
    assert {k: suite.get(k) for k in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
    }
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    failure = cases["r_precision"].find("failure")
    assert failure is not None and NASTY in (failure.get("message") or "")
    assert cases["licenses"].find("failure") is None
