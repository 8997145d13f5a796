"""``turbo-lab bench A B``: two pipelines against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from turbo_lab.cli.sides import SideWords, compose_side, split_sides
from turbo_lab.compare.latency import check_same_run, time_sides
from turbo_lab.documents.output import print_document
from turbo_lab.documents.timing import PairEnergy, PairResult
from turbo_lab.errors import InputError
from turbo_lab.report.columns import METHODS

if TYPE_CHECKING:
    from turbo_lab.runtime.paired_timing import PairedTiming


def is_pair(arguments: Sequence[str]) -> bool:
    """Return whether a command line names sides; :func:`time_pair` refuses other than two."""
    names = [a for a in arguments if "=" not in a and not a.startswith("-")]
    return bool(names) or split_sides(arguments).has_sides


def time_pair(arguments: list[str], as_json: bool) -> int:
    """Time the baseline (A) against the candidate (B); return the exit code."""
    names = [a for a in arguments if "=" not in a and not a.startswith("-")]
    rest = [a for a in arguments if a not in names]
    if len(names) not in (0, 2):
        raise InputError("bench: name two models, or none, as in bench nano-turbo nano-sdxl")
    if names:
        rest = [f"baseline.model={names[0]}", f"candidate.model={names[1]}", *rest]
    words = split_sides(rest)
    baseline = compose_side("bench", "baseline", words.of("baseline"))
    candidate = compose_side("bench", "candidate", words.of("candidate"))
    check_same_run("bench", baseline, candidate)
    found = time_sides(baseline, candidate, with_energy=baseline.options.timing == "full")
    energy = _energy(found, len(baseline.cells[0].batches[0].layout.seeds))
    if as_json:
        print_document("bench pair", _result(found, words, energy))
        return 0
    print(f"A  {found.a_s * 1e3:9.2f} ms  {' '.join(words.of('baseline'))}")
    print(f"B  {found.b_s * 1e3:9.2f} ms  {' '.join(words.of('candidate'))}")
    print(f"B / A   {found.ratio:.3f} ({found.ci95[0]:.3f} to {found.ci95[1]:.3f})")
    low, high = found.noise_ci95
    print(f"A / A   {found.noise_ratio:.3f} ({low:.3f} to {high:.3f}), the noise of this run")
    if energy is not None:
        shown = energy.ci95 and f" ({energy.ci95[0]:.3f} to {energy.ci95[1]:.3f})"
        print(
            f"energy  A {energy.baseline_joules_per_image:.3g} J/image, "
            f"B {energy.candidate_joules_per_image:.3g} J/image, B / A {energy.ratio:.3f}"
            f"{shown or ''}, by {METHODS[energy.method]}"
        )
    print(found.verdict)
    for warning in found.warnings:
        print(f"warning: {warning}")
    return 0


def _energy(found: PairedTiming, images_per_call: int) -> PairEnergy | None:
    """Return the energy of both sides per image; ``None`` if it was not measured."""
    if found.energy is None:
        return None
    a_j, b_j = (
        sum(side) / len(side) / images_per_call
        for side in (found.energy.blocks_a_j, found.energy.blocks_b_j)
    )
    return PairEnergy(
        a_j, b_j, ratio=found.energy.ratio, ci95=found.energy.ci95, method=found.energy.method
    )


def _result(found: PairedTiming, words: SideWords, energy: PairEnergy | None) -> PairResult:
    """Return the result of timing two sides, with the command line of each."""
    return PairResult(
        baseline=tuple(words.of("baseline")),
        candidate=tuple(words.of("candidate")),
        verdict=found.verdict,
        ratio=found.ratio,
        ci95=found.ci95,
        noise_ratio=found.noise_ratio,
        noise_ci95=found.noise_ci95,
        baseline_s=found.a_s,
        candidate_s=found.b_s,
        baseline_blocks_s=found.blocks_a_s,
        candidate_blocks_s=found.blocks_b_s,
        calls_a_block=found.calls_a_block,
        warnings=found.warnings,
        energy=energy,
    )
