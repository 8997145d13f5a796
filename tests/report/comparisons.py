"""A comparison, for the tests of every report about it."""

from __future__ import annotations

from dataclasses import replace

from turbo_lab.documents.compare import (
    CompareReport,
    ContenderEnergy,
    ContenderLatency,
    ContenderMetric,
    ContenderResult,
    EntrantResult,
    PromptExtremes,
)
from turbo_lab.documents.gate import CheckResult
from turbo_lab.verdict import Direction, Verdict

NASTY = "<img src=x onerror=\"errors.push('ran')\">"


def contender(label: str, score: float, p50: float) -> ContenderResult:
    """Return a contender with intervals of 0.02."""
    return ContenderResult(
        label=label,
        metrics={
            "clip_score": ContenderMetric(score, (score - 0.01, score + 0.01), 16, Direction.HIGHER)
        },
        latency_s=ContenderLatency(p50, (p50 - 0.01, p50 + 0.01), 6),
    )


def compare_report() -> CompareReport:
    """Return a candidate that beats its only baseline."""
    row = CheckResult(
        name="clip_score / slow 4 steps (own settings)",
        verdict=Verdict.PASS,
        value=0.9,
        baseline=0.8,
        difference=0.1,
        ci95=(0.05, 0.15),
        margin=0.0,
        n=16,
        minimum_detectable_effect=0.02,
        direction=Direction.HIGHER,
    )
    return CompareReport(
        verdict=Verdict.PASS,
        candidate="fast 1 steps",
        rows=(row,),
        contenders=(contender("fast 1 steps", 0.9, 0.1), contender("slow 4 steps", 0.8, 0.5)),
        pareto=("fast 1 steps",),
        prompts={"slow 4 steps": PromptExtremes(((NASTY, 0.2),), (("a key", -0.1),))},
        fidelity={},
    )


def with_energy(report: CompareReport) -> CompareReport:
    """Return a report whose first contender has its energy."""
    first, *others = report.contenders
    metered = replace(first, energy=ContenderEnergy(12.34, (12.0, 13.0), 9, "power"))
    return replace(report, contenders=(metered, *others))


def several_entrants() -> CompareReport:
    """Return a baseline with two candidates, and one that could not be run."""
    base, fast = contender("base 1 step", 0.8, 0.2), contender("base 1 step dtype=x", 0.79, 0.1)
    row = replace(compare_report().rows[0], name="clip_score / base 1 step dtype=x")
    entrants = (
        EntrantResult(
            label=base.label,
            latency_p50_s=0.2,
            latency_ratio=1.0,
            peak_memory_bytes=300 << 20,
            weights_bytes=200 << 20,
        ),
        EntrantResult(
            label=fast.label,
            psnr_db=41.25,
            worst_tile_ssim=0.93,
            clip_score_difference=-0.01,
            clip_score_ci95=(-0.02, 0.005),
            latency_p50_s=0.1,
            latency_ratio=0.5,
            peak_memory_bytes=250 << 20,
            weights_bytes=100 << 20,
        ),
        EntrantResult(label="base 1 step quantization=float8dq", error="needs | a GPU"),
    )
    return CompareReport(
        verdict=Verdict.PASS,
        candidate=fast.label,
        rows=(row,),
        contenders=(base, fast),
        pareto=(fast.label,),
        prompts={fast.label: PromptExtremes(((NASTY, 0.2),), (("a key", -0.1),))},
        fidelity={},
        reference=base.label,
        entrants=entrants,
        environment={"device_class": "cpu x86-64", "torch": "2.15.0", "cuda": "13.2"},
    )
