"""Results of gates, for the tests of every report about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from turbo_lab.documents.gate import (
    BaselineKey,
    CheckResult,
    GateReport,
    GateSide,
    IdenticalImages,
)
from turbo_lab.environment import GitState
from turbo_lab.verdict import Direction, Verdict


def check_result(verdict: str, ci95: Any, direction: str = "higher", **changes: Any) -> CheckResult:
    """Return a check of ``clip_score`` with a 95% interval."""
    middle = None if ci95 is None else sum(ci95) / 2
    row = CheckResult(
        name="clip_score",
        verdict=Verdict(verdict),
        value=0.8,
        baseline=0.9,
        difference=middle,
        ci95=ci95,
        margin=0.02,
        n=128,
        minimum_detectable_effect=0.01,
        direction=Direction(direction),
    )
    return replace(row, **changes)


def gate_report(*checks: CheckResult, verdict: str = "regression") -> GateReport:
    """Return the report of a gate with these checks."""
    return GateReport(
        verdict=Verdict(verdict),
        gate="release",
        checks=checks,
        candidate=(),
        baseline=("model=<b>",),
        baseline_digest=None,
        prompts={},
        identical_images=IdenticalImages(same=3, of=128),
        from_store=None,
        fingerprint={},
        fingerprint_difference=(),
    )


def with_origin(report: GateReport) -> GateReport:
    """Return a report that says when it was made, from which commit and with which content."""
    keys = {"torch": "2.13", "diffusers": "0.42", "num_threads": 1}
    candidate = GateSide("a" * 64, "c" * 64, {"model": "a" * 64}, keys)
    baseline = replace(candidate, digest="d" * 64, fingerprint={**keys, "diffusers": "0.41"})
    return replace(
        report,
        date="2026-11-27T17:05:00+00:00",
        git=GitState("0123456789abcdef", True),
        sides={"candidate": candidate, "baseline": baseline},
    )


NASTY = "<b>| `x` & \"y\" <script>errors.push('ran')</script>"


def awkward_report() -> GateReport:
    """Return a report with one check per verdict and text that outputs must escape."""
    checks = (
        CheckResult(
            name="clip_score",
            verdict=Verdict.REGRESSION,
            value=0.8,
            baseline=0.9,
            difference=-0.1,
            ci95=(-0.12, -0.08),
            margin=0.02,
            n=128,
            minimum_detectable_effect=0.01,
            direction=Direction.HIGHER,
        ),
        CheckResult(
            name="r_precision",
            verdict=Verdict.INCONCLUSIVE,
            value=0.9,
            baseline=0.91,
            difference=-0.01,
            ci95=(-0.1, 0.05),
            margin=0.05,
            n=128,
            minimum_detectable_effect=0.06,
            direction=Direction.HIGHER,
            note=NASTY,
        ),
        CheckResult(name="licenses", verdict=Verdict.PASS, n=1),
        CheckResult(name="goldens", verdict=Verdict.UNCOVERED, n=0, note="none"),
    )
    return GateReport(
        verdict=Verdict.REGRESSION,
        gate="release",
        checks=checks,
        candidate=("model=x",),
        baseline="release",
        baseline_digest=None,
        prompts={"clip_score": ((NASTY, -0.4), ("a | b", -0.1))},
        identical_images=None,
        from_store=None,
        fingerprint={},
        fingerprint_difference=(BaselineKey("torch", "2.13", NASTY),),
    )
