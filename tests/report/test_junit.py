"""JUnit XML of a gate."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.report.gates import NASTY, awkward_report, check_result, gate_report
from turbo_lab.report.junit import gate_junit
from turbo_lab.verdict import Verdict


def test_undecided_checks_fail_and_checks_without_evidence_are_errors() -> None:
    checks = [check_result(verdict, (-0.01, 0.01), name=verdict) for verdict in Verdict]
    suite = ElementTree.fromstring(gate_junit(gate_report(*checks)))
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert kinds == {
        "pass": [],
        "inconclusive": ["failure"],
        "uncovered": ["error"],
        "regression": ["failure"],
        "error": ["error"],
    }
    assert [suite.get(key) for key in ("tests", "failures", "errors")] == ["5", "2", "2"]


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
    cases = {case.get("name"): case for case in suite}
    failure = cases["r_precision"].find("failure")
    assert failure is not None and NASTY in (failure.get("message") or "")
    assert cases["licenses"].find("failure") is None
