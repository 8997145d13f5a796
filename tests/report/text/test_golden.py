"""A golden check on a terminal: other people's words are shown as they were written."""

from __future__ import annotations

from typing import Any

import pytest

from turbo_lab.report.text.golden import print_check, print_list


def case(**changes: Any) -> dict[str, Any]:
    """One row of the ``golden check`` document."""
    plain = {
        "name": "poster",
        "verdict": "regression",
        "tier": "T0",
        "message": "known bad",
        "first_divergence": None,
        "explanation": None,
        "fingerprint_difference": [],
    }
    return {**plain, **changes}


@pytest.mark.parametrize("reason", ["pip install x[test]", "see [bug]", "closed [/b] before"])
def test_brackets_in_a_reason_are_brackets(reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    differs = [{"key": "torch", "golden": "2[a]", "here": "3[/]"}]
    print_check(
        {"cases": [case(message=reason, explanation=reason, fingerprint_difference=differs)]}
    )
    shown = capsys.readouterr().out
    assert shown.count(reason) == 2
    assert "torch: 2[a] -> 3[/]" in shown
    row = {"name": "poster", "outcome": "ab", "accepted_at": "2026", "accepted_by": "[me]"}
    print_list([{**row, "reason": reason}])
    shown = capsys.readouterr().out
    assert reason in shown and "[me]" in shown


def test_a_regression_says_what_to_run_next(capsys: pytest.CaptureFixture[str]) -> None:
    print_check({"cases": [case()]})
    assert "turbo-lab golden check poster --explain" in capsys.readouterr().out
