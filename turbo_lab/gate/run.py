"""Run a gate: from its inputs to its verdict, its report and its pictures. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import winners_and_losers
from turbo_lab.documents.gate import (
    BaselineKey,
    CheckResult,
    GateReport,
    GateSide,
    IdenticalImages,
    PromptChange,
)
from turbo_lab.documents.occasion import occasion_now
from turbo_lab.errors import JudgementError
from turbo_lab.gate.checks import decide
from turbo_lab.gate.inputs import GateInputs
from turbo_lab.gate.performance_checks import INSTRUMENTS, Instruments
from turbo_lab.gate.run_checks import DrawnSides, all_checks, draw_sides
from turbo_lab.golden.tiers import choose_tier
from turbo_lab.planning.resolved_sweep import ResolvedSweep, with_store
from turbo_lab.untrusted.redaction import redact
from turbo_lab.verdict import Direction, Verdict

if TYPE_CHECKING:
    from turbo_lab.report.html.pictures import Picture


@dataclass(frozen=True)
class GateResult:
    """Verdict of a gate, with its checks and its sides."""

    inputs: GateInputs
    """The policy and its sides."""
    verdict: Verdict
    """Verdict of all checks together."""
    checks: tuple[CheckResult, ...]
    """Results of the checks, corrected for their number."""
    drawn: DrawnSides | None
    """The sides as drawn; ``None`` if one of them could not be drawn."""


def run_gate(inputs: GateInputs, instruments: Instruments = INSTRUMENTS) -> GateResult:
    """Draw the sides and make every check; a side that cannot be drawn is an ``error``."""
    drawn = None
    try:
        drawn = draw_sides(inputs)
        return judge(drawn, instruments)
    except JudgementError as error:
        failed = CheckResult.without_value("drawing", Verdict.ERROR, str(error))
        return GateResult(inputs, Verdict.ERROR, (failed,), drawn)


def judge(drawn: DrawnSides, instruments: Instruments = INSTRUMENTS) -> GateResult:
    """Make every check of the policy on sides that are drawn."""
    verdict, checks = decide(list(all_checks(drawn, instruments)))
    return GateResult(drawn.inputs, verdict, tuple(checks), drawn)


@contextmanager
def fresh_store(candidate: ResolvedSweep) -> Iterator[ResolvedSweep]:
    """Give the candidate a store of this run alone, which is removed afterwards."""
    with TemporaryDirectory(prefix="turbo-lab-gate-") as folder:
        yield with_store(candidate, Path(folder))


def gate_report(
    result: GateResult, candidate: Sequence[str], baseline: Sequence[str]
) -> GateReport:
    """Return what a gate reports.

    ``candidate``, ``baseline``: each side's words of the command line, for the reader.
    """
    inputs, drawn = result.inputs, result.drawn
    is_stored = inputs.baseline is None
    occasion = occasion_now(candidate, inputs.candidate.fingerprint)
    report = GateReport(
        verdict=result.verdict,
        gate=inputs.policy.name,
        checks=result.checks,
        candidate=tuple(map(redact, candidate)),
        baseline=inputs.policy.baseline if is_stored else tuple(map(redact, baseline)),
        baseline_digest=None,
        prompts={},
        identical_images=None,
        from_store=None,
        fingerprint={},
        fingerprint_difference=(),
        date=occasion.date,
        git=occasion.git,
        occasion=occasion,
    )
    return report if drawn is None else _with_sides(report, drawn)


def _with_sides(report: GateReport, drawn: DrawnSides) -> GateReport:
    """Return the report with the results that need drawn sides."""
    candidate, reference = drawn.candidate.measured, drawn.reference
    report = replace(
        report,
        from_store=drawn.candidate.done.from_store,
        fingerprint=drawn.inputs.candidate.fingerprint.keys,
        sides={"candidate": _side(candidate)},
    )
    if reference is None:
        return report
    return replace(
        report,
        baseline_digest=reference.content_digest,
        sides={"candidate": _side(candidate), "baseline": _side(reference)},
        prompts=_changed_most(report.checks, candidate, reference),
        identical_images=_identical(candidate, reference),
        fingerprint_difference=_differs(drawn, reference),
    )


def _side(measured: Baseline) -> GateSide:
    """Return what a side was drawn from, and the digest of what came of it."""
    recipe = measured.recipe
    adapters = {f"adapter {i}": digest for i, (digest, _) in enumerate(recipe.lora, start=1)}
    vae = {key: value for key, value in recipe.variant if key == "vae"}
    return GateSide(
        record_id=measured.record_id,
        digest=measured.content_digest,
        weights={"model": recipe.model, **adapters, **vae},
        fingerprint=measured.fingerprint.keys,
    )


def _identical(candidate: Baseline, baseline: Baseline) -> IdenticalImages:
    """Count the images that have the baseline's pixels; this is reported, never judged."""
    there = dict(zip(baseline.keys, baseline.pixel_sha256, strict=True))
    pixels = zip(candidate.keys, candidate.pixel_sha256, strict=True)
    same = sum(there.get(key) == pixel for key, pixel in pixels)
    return IdenticalImages(same=same, of=len(candidate.keys))


def _changed_most(
    held: Sequence[CheckResult], candidate: Baseline, baseline: Baseline
) -> dict[str, tuple[PromptChange, ...]]:
    """Return the prompts to look at, the worst first, for each metric that did not pass."""
    found = {}
    for row in held:
        here, there = candidate.scored(row.name), baseline.scored(row.name)
        if here and there and row.ci95 is not None and row.verdict != Verdict.PASS:
            gains, losses = winners_and_losers(here, there)
            better = row.difference is not None and (
                row.difference < 0
                if here.measurement.direction == Direction.LOWER
                else row.difference > 0
            )
            # If a two-sided check found a gain, the gains are suspicious.
            pairs = gains if row.direction == Direction.NONE and better else losses
            found[row.name] = tuple(pair for pair in pairs if pair[1])
    return found


def pictures(
    result: GateResult, prompts: Mapping[str, Sequence[PromptChange]]
) -> dict[str, dict[str, Picture]]:
    """Return the first image of every prompt in ``prompts``, for each side drawn now."""
    from turbo_lab.report.html.pictures import read_pictures

    if result.drawn is None:
        return {}
    named = {prompt for pairs in prompts.values() for prompt, _ in pairs}
    sides = {"candidate": result.drawn.candidate, "baseline": result.drawn.baseline}
    paths = {
        name: {p: path for p, path in side.first_images().items() if p in named}
        for name, side in sides.items()
        if side is not None
    }
    read = read_pictures([path for images in paths.values() for path in images.values()])
    return {
        name: {prompt: read[str(path)] for prompt, path in images.items() if str(path) in read}
        for name, images in paths.items()
    }


def _differs(drawn: DrawnSides, reference: Baseline) -> tuple[BaselineKey, ...]:
    """Return the fingerprint keys in which the sides differ."""
    keys = drawn.inputs.candidate.fingerprint.keys
    differs = choose_tier(reference.fingerprint.keys, keys).differs
    return tuple(BaselineKey(*one) for one in differs)
