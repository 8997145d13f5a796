"""A gate and a comparison of two sides, as their reports have them."""

from __future__ import annotations

import math

from turbo_lab.documents.compare import (
    CompareReport,
    ContenderLatency,
    ContenderMetric,
    ContenderResult,
)
from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.environment import GitState
from turbo_lab.verdict import Direction, Verdict


def gate_report_of_two() -> GateReport:
    """Return a gate with a regression, and a check that measures nothing."""
    lower = CheckResult(
        name="clip_score",
        verdict=Verdict.REGRESSION,
        value=0.8,
        baseline=0.85,
        difference=-0.05,
        ci95=(-0.06, -0.04),
        margin=0.01,
        n=64,
        direction=Direction.HIGHER,
    )
    return GateReport(
        verdict=Verdict.REGRESSION,
        gate="release",
        checks=(lower, CheckResult.without_value("lpips", Verdict.PASS, "no images differ")),
        candidate=("candidate.lora=flat@0.8",),
        baseline="nano-turbo",
        baseline_digest="b" * 64,
        prompts={},
        identical_images=None,
        from_store=0,
        fingerprint={"torch": "2.15.0", "num_threads": 2},
        fingerprint_difference=(),
        date="2026-11-27T17:05:00+00:00",
        git=GitState("c" * 40, dirty=False),
    )


def compare_report_of_two() -> CompareReport:
    """Return a comparison that nothing decides; one metric is infinite."""
    row = CheckResult(
        name="clip_score / nano-sdxl 25 steps (own settings)",
        verdict=Verdict.INCONCLUSIVE,
        value=0.86,
        baseline=0.863,
        difference=-0.003,
        ci95=(-0.018, 0.012),
        margin=0.0,
        n=32,
    )
    contenders = tuple(
        ContenderResult(
            label=label,
            metrics={
                "clip_score": ContenderMetric(score, None, 32),
                "psnr": ContenderMetric(math.inf, None, 32),
            },
            latency_s=ContenderLatency(latency, None, 6),
        )
        for label, score, latency in (
            ("nano-turbo 1 step", 0.86, 0.19),
            ("nano-sdxl 25 steps", 0.863, 3.1),
        )
    )
    return CompareReport(
        verdict=Verdict.INCONCLUSIVE,
        candidate="nano-turbo 1 step",
        rows=(row,),
        contenders=contenders,
        pareto=(),
        prompts={},
        fidelity={},
    )
