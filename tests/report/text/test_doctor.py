"""The findings of doctor, on a terminal."""

from __future__ import annotations

import pytest

from turbo_lab.documents.inspection import Diagnosis, Finding, FindingStatus
from turbo_lab.report.text.doctor import print_diagnosis

FINE = Finding("torch", FindingStatus.OK, "2.15.0")
NOTED = Finding("nvidia-ml-py", FindingStatus.NOTE, "absent")
WRONG = Finding("gpu", FindingStatus.PROBLEM, "A10: cannot be used")
FULL = Finding("store", FindingStatus.PROBLEM, "cannot be written to")


@pytest.mark.parametrize(
    ("findings", "code", "last"),
    [
        ([FINE, NOTED], 0, "ready"),
        ([FINE, WRONG], 3, "1 problem: gpu"),
        (
            [WRONG, NOTED, FULL],
            3,
            "2 problems: gpu, store",
        ),
    ],
)
def test_the_last_line_follows_from_the_findings(
    findings: list[Finding], code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    diagnosis = Diagnosis.of(findings)
    print_diagnosis(diagnosis)
    assert capsys.readouterr().out.splitlines()[-1] == last
    assert diagnosis.exit_code == code


def test_each_finding_is_one_line_with_its_mark(capsys: pytest.CaptureFixture[str]) -> None:
    print_diagnosis(Diagnosis.of([FINE, NOTED, WRONG]))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "ok  torch         2.15.0",
        "--  nvidia-ml-py  absent",
        "!!  gpu           A10: cannot be used",
    ]
