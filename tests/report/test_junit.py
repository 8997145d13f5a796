"""JUnit XML of outcomes."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tests.report.gates import NASTY, awkward_report, check_result, gate_report
from turbo_lab.report.junit import junit
from turbo_lab.report.outcomes import Outcome, Outcomes, gate_outcomes
from turbo_lab.verdict import Verdict


def test_undecided_rows_fail_and_rows_without_evidence_are_errors() -> None:
    checks = [check_result(verdict, (-0.01, 0.01), name=verdict) for verdict in Verdict]
    suite = ElementTree.fromstring(junit(gate_outcomes(gate_report(*checks))))
    kinds = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert kinds == {
        "pass": [],
        "inconclusive": ["failure"],
        "uncovered": ["error"],
        "regression": ["failure"],
        "error": ["error"],
    }
    assert [suite.get(key) for key in ("tests", "failures", "errors")] == ["5", "2", "2"]


def test_each_row_has_its_group_and_its_time() -> None:
    rows = (
        Outcome("goldens", Verdict.PASS, "", wall_s=1.25),
        Outcome("turbo", Verdict.REGRESSION, "beyond rounding", group=".goldens", wall_s=2.5),
    )
    facts = {"origin": "commit a"}
    date = "2026-11-27T17:05:00+00:00"
    found = Outcomes("gate release", Verdict.REGRESSION, rows, date, facts)
    suite = ElementTree.fromstring(junit(found))
    assert [(c.get("classname"), c.get("name"), c.get("time")) for c in suite.iter("testcase")] == [
        ("gate.release", "goldens", "1.250"),
        ("gate.release.goldens", "turbo", "2.500"),
    ]
    assert [suite.get(key) for key in ("name", "time", "timestamp")] == [
        "turbo-lab gate release",
        "3.750",
        date,
    ]
    assert [(p.get("name"), p.get("value")) for p in suite.iter("property")] == [
        ("origin", "commit a")
    ]
    failure = suite.find("testcase[@name='turbo']/failure")
    assert failure is not None and failure.get("message") == "regression: beyond rounding"


@given(st.text())
def test_any_text_is_well_formed(text: str) -> None:
    rows = (Outcome(text, Verdict.ERROR, text, group=f".{text}"),)
    suite = ElementTree.fromstring(junit(Outcomes(text, Verdict.ERROR, rows, "", {"a": text})))
    assert len(list(suite.iter("testcase"))) == 1


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    """A message from a crashed worker may hold control characters, even with no escape in XML."""
    text = "terminal \x1b[31m red \x00 and \ud800 alone \U0001f4a5"
    report = gate_report(check_result("error", None, note=text))
    error = ElementTree.fromstring(junit(gate_outcomes(report))).find("testcase/error")
    assert error is not None
    message = error.get("message") or ""
    assert "red" in message and "\U0001f4a5" in message and "\x1b" not in message


def test_junit_is_well_formed_and_counts() -> None:
    suite = ElementTree.fromstring(junit(gate_outcomes(awkward_report())))
    assert {k: suite.get(k) for k in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
    }
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    failure = cases["r_precision"].find("failure")
    assert failure is not None and NASTY in (failure.get("message") or "")
    assert cases["licenses"].find("failure") is None
