"""The findings of ``turbo-lab doctor``, for the terminal."""

from __future__ import annotations

from rich.markup import escape

from turbo_lab.documents.inspection import Diagnosis, FindingStatus
from turbo_lab.report.text.layout import Head, print_table
from turbo_lab.report.text.terminal import open_console

_MARKS = {FindingStatus.OK: "ok", FindingStatus.NOTE: "--", FindingStatus.PROBLEM: "!!"}


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print one line per finding, and what must be fixed."""
    rows = [
        [_MARKS[one.status], escape(one.name), escape(one.detail)] for one in diagnosis.findings
    ]
    heads = [Head(""), Head(""), Head("", wraps=True)]
    print_table(open_console(), heads, rows, num_keys=2, has_heads=False)
    print(f"\n{_summary(diagnosis)}")


def _summary(diagnosis: Diagnosis) -> str:
    problems = diagnosis.problems
    if not problems:
        return "ready"
    names = ", ".join(row.name for row in problems)
    return f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}: {names}"
