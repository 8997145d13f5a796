"""Results of the golden commands on the terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from turbo_lab.documents.golden import (
    CheckedCase,
    FaultOutcome,
    GoldenCheck,
    GoldenKey,
    GoldenMutation,
    ListedCase,
)
from turbo_lab.report.text.golden import print_check, print_list, print_mutation
from turbo_lab.verdict import Verdict


def case(**changes: Any) -> CheckedCase:
    plain = CheckedCase("poster", Verdict.REGRESSION, tier="T0", message="known bad")
    return replace(plain, **changes)


def check(only: CheckedCase) -> GoldenCheck:
    return GoldenCheck(only.verdict, (only,))


@pytest.mark.parametrize("reason", ["pip install x[test]", "see [bug]", "closed [/b] before"])
def test_brackets_in_a_reason_are_not_markup(
    reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    differs = (GoldenKey("torch", "2[a]", "3[/]"),)
    print_check(check(case(message=reason, explanation=reason, fingerprint_difference=differs)))
    shown = capsys.readouterr().out
    assert shown.count(reason) == 2
    assert "torch: 2[a] -> 3[/]" in shown
    print_list([ListedCase("poster", (), "ab", "[me]", "2026", reason, beside=0, known_bad=0)])
    shown = capsys.readouterr().out
    assert reason in shown and "[me]" in shown


def test_a_regression_names_the_command_to_run_next(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(check(case()))
    assert "turbo-lab golden check poster --explain" in capsys.readouterr().out


def test_a_case_without_a_golden_names_the_command_whatever_its_message_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "turbo-lab golden record"
    new = case(verdict=Verdict.UNCOVERED, message="nothing is stored", has_golden=False)
    print_check(check(new))
    assert command in capsys.readouterr().out
    print_check(check(replace(new, message="the twin has no golden", has_golden=True)))
    assert command not in capsys.readouterr().out


def test_a_missed_fault_shows_how_far_it_is_from_the_threshold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    missed = FaultOutcome(
        name="swapped",
        caught=True,
        by_tier={"T0": True, "T1": False, "T2": False},
        cases=1,
        first_divergence=None,
        worst_by_tier={"T1": 0.5},
    )
    print_mutation(GoldenMutation(1.0, (missed,), ()))
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("swapped")]
    assert line.split() == ["swapped", "caught", "missed", "(0.5)", "missed", "(0)", "-"]


def test_a_difference_of_the_environment_is_printed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    differs = (GoldenKey("torch", "2.13", "2.14"), GoldenKey("isa", "avx2", "avx512"))
    cases = tuple(case(name=f"case {i}", fingerprint_difference=differs) for i in range(13))
    print_check(GoldenCheck(Verdict.PASS, cases))
    line = "environment differs from the golden's (all cases): torch: 2.13 -> 2.14; isa: avx2 -> "
    assert capsys.readouterr().out.count(line) == 1
    other = replace(cases[0], fingerprint_difference=differs[:1])
    print_check(GoldenCheck(Verdict.PASS, (other, *cases[1:3], case(name="same"))))
    lines = [one for one in capsys.readouterr().out.splitlines() if one.startswith("environment")]
    assert [one.partition("(")[2].partition(")")[0] for one in lines] == [
        "case 0",
        "case 1, case 2",
    ]
