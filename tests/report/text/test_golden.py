"""A golden check on a terminal: other people's words are shown as they were written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from turbo_lab.documents.golden import CheckedCase, GoldenCheck, GoldenKey, ListedCase
from turbo_lab.report.text.golden import print_check, print_list
from turbo_lab.verdict import Verdict


def case(**changes: Any) -> CheckedCase:
    plain = CheckedCase("poster", Verdict.REGRESSION, tier="T0", message="known bad")
    return replace(plain, **changes)


def check(only: CheckedCase) -> GoldenCheck:
    return GoldenCheck(only.verdict, (only,))


@pytest.mark.parametrize("reason", ["pip install x[test]", "see [bug]", "closed [/b] before"])
def test_brackets_in_a_reason_are_brackets(reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    differs = (GoldenKey("torch", "2[a]", "3[/]"),)
    print_check(check(case(message=reason, explanation=reason, fingerprint_difference=differs)))
    shown = capsys.readouterr().out
    assert shown.count(reason) == 2
    assert "torch: 2[a] -> 3[/]" in shown
    print_list([ListedCase("poster", (), "ab", "[me]", "2026", reason, beside=0, known_bad=0)])
    shown = capsys.readouterr().out
    assert reason in shown and "[me]" in shown


def test_a_regression_says_what_to_run_next(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(check(case()))
    assert "turbo-lab golden check poster --explain" in capsys.readouterr().out
