"""Sentences about an upgrade."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.upgrade.reports import bisection, report
from turbo_lab.report.upgrade_sentences import (
    change_of_bisect,
    changed_stages,
    latency_of_upgrade,
    origin_of_package,
    outcome_of_bisect,
    outcome_of_upgrade,
)
from turbo_lab.verdict import Verdict


def test_the_origin_of_a_package() -> None:
    assert [origin_of_package(one) for one in report().packages] == [
        "",
        "needed by another package",
        "from peft-1.0.whl",
    ]


def test_only_stages_that_differ_are_named() -> None:
    assert len(changed_stages(report().stages)) == 1
    unknown = replace(report().stages[1], relative_l2=None)
    (line,) = changed_stages([unknown])
    assert "by up to an unknown amount" in line


def test_an_upgrade_without_timing_has_no_line_on_it() -> None:
    assert latency_of_upgrade(replace(report(), timing=None)) == []


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Verdict.PASS, "Every check passes."),
        (Verdict.ERROR, "No verdict was possible: goldens; the first"),
        (Verdict.UNCOVERED, "There was nothing to compare with: goldens"),
        (Verdict.INCONCLUSIVE, "There is not enough evidence: goldens"),
    ],
)
def test_outcomes(verdict: Verdict, sentence: str) -> None:
    checks = (replace(report().checks[0], verdict=verdict),)
    found = outcome_of_upgrade(replace(report(), verdict=verdict, checks=checks))
    assert found.startswith(sentence)


def test_equal_bits_are_said() -> None:
    passed = replace(report(), verdict=Verdict.PASS, cases=report().cases[1:])
    assert outcome_of_upgrade(passed).endswith("every golden case is identical to the bit.")


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("found", "diffusers==0.40.0..0.42.1: changed in 0.42.0 (4 environments ran)."),
        ("no change", "No change: diffusers==0.40.0..0.42.1 is the same at both ends."),
        ("changed from the start", "0.40.0, the first version, fails the test already"),
        ("untestable", "No version of the range can be installed"),
    ],
)
def test_outcomes_of_a_bisection(outcome: str, sentence: str) -> None:
    assert outcome_of_bisect(replace(bisection(), outcome=outcome)).startswith(sentence)


def test_a_change_names_its_commit_and_its_cause() -> None:
    change = replace(bisection().changes[0], title="Scale latents", cause="httpx", skipped=())
    lines = change_of_bisect(change)
    assert lines[0] == (
        "0.40.0 -> 0.42.0 (Scale latents): 0 of 2 identical to the bit, first at vae"
    )
    assert lines[-1] == "  cause, with the other packages kept as they were: httpx"
    assert change_of_bisect(replace(change, other_packages=()))[-1].startswith("  vae: differs")
