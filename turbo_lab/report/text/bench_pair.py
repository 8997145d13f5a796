"""The latency of two pipelines, for the terminal."""

from __future__ import annotations

from turbo_lab.documents.timing import PairEnergy, PairResult
from turbo_lab.report.columns import METHODS
from turbo_lab.report.sentences import per_call


def print_pair(result: PairResult) -> None:
    """Print both means, their ratio next to the noise of this run, and the verdict."""
    print(f"ms: mean, {per_call(result.images_per_call or ())}")
    print(f"A  {result.baseline_s * 1e3:9.2f} ms  {' '.join(result.baseline)}")
    print(f"B  {result.candidate_s * 1e3:9.2f} ms  {' '.join(result.candidate)}")
    print(f"B / A   {result.ratio:.3f} ({result.ci95[0]:.3f} to {result.ci95[1]:.3f})")
    low, high = result.noise_ci95
    print(f"A / A   {result.noise_ratio:.3f} ({low:.3f} to {high:.3f}), the noise of this run")
    if result.energy is not None:
        print(_energy(result.energy))
    print(result.verdict)
    for warning in result.warnings:
        print(f"warning: {warning}")


def _energy(energy: PairEnergy) -> str:
    interval = "" if energy.ci95 is None else f" ({energy.ci95[0]:.3f} to {energy.ci95[1]:.3f})"
    return (
        f"energy  A {energy.baseline_joules_per_image:.3g} J/image, "
        f"B {energy.candidate_joules_per_image:.3g} J/image, B / A {energy.ratio:.3f}"
        f"{interval}, by {METHODS[energy.method]}"
    )
