"""The reports of an upgrade and of a bisection, for tests of what shows them."""

from __future__ import annotations

from pathlib import Path

from turbo_lab.documents.gate import CheckResult, IdenticalImages
from turbo_lab.documents.golden import StageDifference
from turbo_lab.documents.timing import PairResult
from turbo_lab.documents.upgrade import (
    BisectChange,
    BisectReport,
    BisectVersion,
    PackageChange,
    StageChange,
    UpgradeCase,
    UpgradeReport,
)
from turbo_lab.verdict import Verdict

VAE = StageDifference(stage="vae", equal=False, max_abs=0.012, relative_l2=0.0034, estimated=False)
NOISE = StageDifference(stage="noise", equal=True, max_abs=0.0, relative_l2=0.0, estimated=False)


def report() -> UpgradeReport:
    """Return an upgrade whose candidate changes the VAE of one case in two."""
    return UpgradeReport(
        verdict=Verdict.REGRESSION,
        gate="release",
        requirements=("diffusers==0.43.0",),
        words=("gate=release",),
        packages=(
            PackageChange("diffusers", "0.42.1", "0.43.0", is_asked=True),
            PackageChange("httpx", None, "0.28.1", is_asked=False),
            PackageChange("peft", "1.0", "1.0", is_asked=True, source="peft-1.0.whl"),
        ),
        checks=(
            CheckResult.without_value("goldens", Verdict.REGRESSION, "1 of 2 identical", 2),
            CheckResult(
                name="clip_score",
                verdict=Verdict.PASS,
                value=0.8,
                baseline=0.8,
                difference=0.0,
                ci95=(0.0, 0.0),
                margin=0.02,
                n=128,
            ),
        ),
        cases=(
            UpgradeCase(
                "apple<1>",
                Verdict.REGRESSION,
                "vae_relative_l2 0.0034 above 2e-05, against the golden",
                identical=False,
                golden=Verdict.REGRESSION,
                golden_here=Verdict.PASS,
                first_difference=VAE,
                stages=(NOISE, VAE),
                causes=("vae",),
            ),
            UpgradeCase(
                "pear",
                Verdict.PASS,
                "identical to the bit",
                identical=True,
                golden=Verdict.PASS,
                golden_here=Verdict.PASS,
                stages=(NOISE,),
            ),
        ),
        stages=(
            StageChange("noise", 0, 2, 0, 0, max_abs=None, relative_l2=None),
            StageChange("vae", 1, 1, 1, 1, max_abs=0.012, relative_l2=0.0034),
        ),
        identical_images=IdenticalImages(same=0, of=128),
        timing=PairResult(
            baseline=("gate=release",),
            candidate=("diffusers==0.43.0", "gate=release"),
            verdict="B is slower",
            ratio=1.2,
            ci95=(1.1, 1.3),
            noise_ratio=1.0,
            noise_ci95=(0.98, 1.02),
            baseline_s=0.1,
            candidate_s=0.12,
            baseline_blocks_s=(0.1,),
            candidate_blocks_s=(0.12,),
            calls_a_block=1,
            warnings=(),
        ),
        notes=("not checked here: memory",),
        environment=Path("/cache/environments/abc"),
        made_s=1.0,
        lock=Path("/project/upgrade/diffusers-0.43.0/lock.txt"),
        python="3.11.7",
        wall_s=100.0,
        steps_s={"goldens": 20.0},
        date="2026-11-27T20:00:00+00:00",
    )


def bisection() -> BisectReport:
    """Return a bisection that found one change, next to a version that was skipped."""
    asked = PackageChange("diffusers", "0.42.1", "0.42.0", is_asked=True)
    skip = "cannot be installed: no wheel\na second line"
    return BisectReport(
        outcome="found",
        range="diffusers==0.40.0..0.42.1",
        test="bits",
        words=("gate=release",),
        reference="0.40.0",
        versions=(
            BisectVersion("0.40.0", "same", "the reference"),
            BisectVersion("0.41.0", "skipped", skip),
            BisectVersion("0.42.0", "changed", "0 of 2 identical to the bit", (asked,)),
            BisectVersion("0.42.1", "untested", ""),
        ),
        changes=(
            BisectChange(
                last_same="0.40.0",
                first_changed="0.42.0",
                skipped=("0.41.0",),
                title="",
                note="0 of 2 identical to the bit, first at vae",
                first_stage="vae",
                stages=report().stages,
                other_packages=(PackageChange("httpx", None, "0.28.1", is_asked=False),),
                cause=None,
            ),
        ),
        environments_run=4,
        wall_s=100.0,
        date="2026-11-27T20:00:00+00:00",
    )
