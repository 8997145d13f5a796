"""The policy, its checks, and how they decide together."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.report.browser import run_in_page
from turbo_lab import gate
from turbo_lab.cards import conf_dir
from turbo_lab.compare import Row
from turbo_lab.errors import InputError
from turbo_lab.gate import Policy
from turbo_lab.report.html_gate import gate_report
from turbo_lab.report.outputs import gate_junit, gate_markdown

RELEASE = yaml.safe_load((conf_dir() / "gate" / "release.yaml").read_text())
NASTY = "<b>| `x` & \"y\" <script>errors.push('ran')</script>"


def test_the_release_policy_is_valid() -> None:
    policy = Policy.from_config(RELEASE)
    assert policy.goldens == () and policy.latency is None
    assert policy.quality["clip_score"].margin == 0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "none"}, "name a policy"),
        ({"latancy": 0.2}, "Did you mean latency?"),
        ({"latency": -0.1}, "must be a number of at least 0"),
        ({"latency": "fast"}, "gate.latency=fast"),
        ({"min_goldens": True}, "whole number"),
        ({"goldens": 3}, "all, none or a list"),
        ({"quality": {"clip_score": 0.02}}, "must have a margin"),
        ({"quality": {"clip_score": {"margin": None}}}, "must be a number"),
        ({"quality": {"clip_score": {"margin": 0.1, "sided": 2}}}, "must have a margin"),
    ],
)
def test_a_wrong_policy_is_explained(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Policy.from_config(RELEASE | change)


def test_licences_are_read_against_the_list() -> None:
    assert gate.license_check({"a": "MIT"}, ("MIT",)).verdict == "pass"
    row = gate.license_check({"a": "MIT", "b": "non-commercial"}, ("MIT",))
    assert (row.verdict, row.note) == ("regression", "b: non-commercial")


def test_goldens_need_enough_cases() -> None:
    assert gate.golden_check({"a": "pass", "b": "pass"}, 2).verdict == "pass"
    few = gate.golden_check({"a": "pass"}, 2)
    assert (few.verdict, few.note) == ("uncovered", "1 cases covered, 2 required")
    assert gate.golden_check({"a": "pass", "b": "regression"}, 2).verdict == "regression"
    assert gate.golden_check({"a": "error", "b": "regression"}, 0).verdict == "error"
    assert gate.golden_check({"a": "uncovered", "b": "pass"}, 1).verdict == "uncovered"


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [
        ((0.9, 1.19), "pass"),
        ((0.5, 0.6), "pass"),
        ((1.21, 1.4), "regression"),
        ((1.1, 1.3), "inconclusive"),
    ],
)
def test_latency_is_judged_by_its_interval(ci95: tuple[float, float], verdict: str) -> None:
    row = gate.latency_check(sum(ci95) / 2, ci95, 0.2, 12, 0)
    assert row.verdict == verdict


def test_the_mutation_score_and_false_alarms() -> None:
    assert gate.mutation_check(20, 20, [], 1.0).verdict == "pass"
    assert gate.mutation_check(19, 20, [], 1.0).verdict == "regression"
    assert gate.mutation_check(20, 20, ["threads"], 1.0).verdict == "regression"
    assert gate.mutation_check(0, 0, [], 1.0).verdict == "regression"


def test_the_worst_check_decides_and_nothing_asked_is_refused() -> None:
    rows = [gate.failed_check("a", "uncovered", "why"), gate.license_check({}, ("MIT",))]
    assert gate.decide(rows)[0] == "uncovered"
    with pytest.raises(InputError, match="asks nothing"):
        gate.decide([])


def document() -> dict[str, Any]:
    checks = [
        Row("clip_score", "regression", 0.8, 0.9, -0.1, (-0.12, -0.08), 0.02, 128, 0.01,
            direction="higher"),
        Row("r_precision", "inconclusive", 0.9, 0.91, -0.01, (-0.1, 0.05), 0.05, 128, 0.06,
            direction="higher", note=NASTY),
        Row("licenses", "pass", None, None, None, None, None, 1, None),
        Row("goldens", "uncovered", None, None, None, None, None, 0, None, note="none"),
    ]  # fmt: skip
    return {
        "verdict": "regression",
        "gate": "release",
        "checks": [vars(row) for row in checks],
        "candidate": ["model=x"],
        "baseline": "release",
        "fingerprint_difference": [{"key": "torch", "baseline": "2.13", "here": NASTY}],
    }


def test_junit_is_well_formed_and_counts() -> None:
    suite = ElementTree.fromstring(gate_junit(document()))
    assert {k: suite.get(k) for k in ("tests", "failures", "errors")} == {
        "tests": "4", "failures": "2", "errors": "1",
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite}
    failure = cases["r_precision"].find("failure")
    assert failure is not None and NASTY in (failure.get("message") or "")
    assert cases["licenses"].find("failure") is None


def test_markdown_keeps_its_table_whatever_the_text() -> None:
    lines = gate_markdown(document()).splitlines()
    table = [line for line in lines if line.startswith("| ")][2:6]
    assert len(table) == 4
    for line in table:
        unescaped = line.replace("\\|", "")
        assert unescaped.count("|") == 9, line
    assert "<script>" not in gate_markdown(document()).replace("\\<", "")


def test_the_page_in_the_browser() -> None:
    found = run_in_page(
        gate_report(document()),
        """
        const all = (q) => [...document.querySelectorAll(q)];
        found.verdict = document.querySelector("header .verdict").textContent;
        found.note = document.querySelector("tbody").rows[1].cells[8].textContent;
        found.bars = all("svg .bar").length;
        document.querySelectorAll("th button")[2].click();
        found.sorted = [...document.querySelector("tbody").rows].map((r) => r.cells[0].textContent);
        """,
    )
    assert found["errors"] == []
    assert (found["verdict"], found["note"], found["bars"]) == ("regression", NASTY, 2)
    assert found["sorted"] == ["clip_score", "r_precision", "licenses", "goldens"]
