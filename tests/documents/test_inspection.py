"""The diagnosis that follows from findings."""

from __future__ import annotations

import pytest

from turbo_lab.documents.inspection import Diagnosis, Finding, FindingStatus

OK, NOTE, PROBLEM = (Finding(status, status, "x") for status in FindingStatus)


@pytest.mark.parametrize(
    ("findings", "verdict", "exit_code"),
    [
        ((), "ok", 0),
        ((OK, NOTE), "ok", 0),
        ((OK, PROBLEM, NOTE), "problem", 3),
    ],
)
def test_one_problem_decides(findings: tuple[Finding, ...], verdict: str, exit_code: int) -> None:
    found = Diagnosis.of(iter(findings))
    assert (found.verdict, found.exit_code, found.findings) == (verdict, exit_code, findings)
    assert found.problems == tuple(one for one in findings if one is PROBLEM)
