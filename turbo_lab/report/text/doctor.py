"""The findings of ``turbo-lab doctor``, for the terminal."""

from __future__ import annotations

from turbo_lab.documents.inspection import Diagnosis, FindingStatus

_MARKS = {FindingStatus.OK: "ok", FindingStatus.NOTE: "--", FindingStatus.PROBLEM: "!!"}


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print one line per finding, and what must be fixed."""
    width = max(len(row.name) for row in diagnosis.findings)
    for row in diagnosis.findings:
        print(f"{_MARKS[row.status]}  {row.name:{width}}  {row.detail}")
    print(f"\n{_summary(diagnosis)}")


def _summary(diagnosis: Diagnosis) -> str:
    problems = diagnosis.problems
    if not problems:
        return "ready"
    names = ", ".join(row.name for row in problems)
    return f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}: {names}"
