"""Mutation of goldens: each fault is put into the pipeline and judged at each tier.

A golden proves little until it was shown to fail. The score is the share of faults that some
golden catches at T0, where every fault must be caught.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.documents.golden import FaultOutcome, HarmlessOutcome, Margin, Tier
from turbo_lab.errors import JudgementError
from turbo_lab.golden.distances import TIER_METRICS
from turbo_lab.golden.judgement import CaseVerdict, Judge
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import SWEEP_DRAWING, Case, CaseRunner, Drawing, RecordedCase
from turbo_lab.golden.thresholds import noise_level
from turbo_lab.golden.tiers import TIERS
from turbo_lab.progress import track
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.harmless import HARMLESS, Harmless
from turbo_lab.trials.reanchor import anchored
from turbo_lab.verdict import Verdict


@dataclass(frozen=True)
class Mutation:
    """Verdicts on all faults and harmless changes."""

    faults: tuple[FaultOutcome, ...]
    """One outcome per fault."""
    harmless: tuple[HarmlessOutcome, ...]
    """One outcome per harmless change."""

    @property
    def score(self) -> float:
        """Share of demonstrable faults that T0 catches."""
        shown = [fault.caught for fault in self.faults if fault.cases]
        return sum(shown) / len(shown)

    @property
    def passes(self) -> bool:
        """True if T0 catches all faults, no tier misses one above the noise, and nothing alarms."""
        is_blind = self.score < 1 or any(fault.above_noise for fault in self.faults)
        return not is_blind and not any(change.alarm for change in self.harmless)


def mutate(
    cases: Sequence[RecordedCase],
    judge: Judge,
    *,
    faults: Sequence[Fault] = FAULTS,
    changes: Sequence[Harmless] = HARMLESS,
    drawing: Drawing = SWEEP_DRAWING,
) -> Mutation:
    """Try every fault and every harmless change on every case that can show it.

    Raises :class:`JudgementError` without thresholds: every case would end in an error that
    has nothing to do with a fault.
    """
    _require_thresholds(cases, judge)
    runner = CaseRunner([one.case for one in cases], drawing)
    cases = anchored(cases, runner)
    return Mutation(
        tuple(
            _try_fault(fault, cases, runner, judge)
            for fault in track(faults, "faults judged by goldens")
        ),
        tuple(
            _try_change(change, cases, runner, judge)
            for change in track(changes, "harmless changes")
        ),
    )


def _try_change(
    change: Harmless, cases: Sequence[RecordedCase], runner: CaseRunner, judge: Judge
) -> HarmlessOutcome:
    verdicts = [
        judge.judge(golden, stored, change.run(runner, case), change.tier).verdict
        for case, golden, stored in cases
    ]
    alarm = any(verdict != Verdict.PASS for verdict in verdicts)
    return HarmlessOutcome(change.name, alarm, change.tier, len(verdicts))


def _try_fault(
    fault: Fault, cases: Sequence[RecordedCase], runner: CaseRunner, judge: Judge
) -> FaultOutcome:
    fitting = [one for one in cases if fault.applies(one.case.batch, one.case.cell.negative_prompt)]
    runs = [run_with(fault, runner, one.case) for one in fitting]
    verdicts: dict[Tier, list[CaseVerdict]] = {
        tier: [
            judge.judge(one.golden, one.stored, run, tier)
            for one, run in zip(fitting, runs, strict=True)
        ]
        for tier in TIERS
    }
    caught: dict[str, bool | None] = {
        tier: any(v.verdict != Verdict.PASS for v in verdicts[tier]) if fitting else None
        for tier in TIERS
    }
    is_above_noise = {
        tier: any(
            _is_above_noise(verdict, judge.margins(one.golden, tier))
            for verdict, one in zip(verdicts[tier], fitting, strict=True)
        )
        for tier in TIERS
    }
    failed = (v for v in verdicts["T0"] if v.verdict != Verdict.PASS)
    ratios = _worst_ratios(verdicts)
    return FaultOutcome(
        name=fault.name,
        caught=bool(caught["T0"]),
        by_tier=caught,
        cases=len(fitting),
        first_divergence=next((verdict.first_divergence for verdict in failed), None),
        figures={f"{t} {name}": ratio for t in TIERS for name, ratio in ratios[t].items()},
        worst_by_tier={t: max(ratios[t].values()) for t in TIERS if ratios[t]},
        above_noise=tuple(t for t in TIERS if caught[t] is False and is_above_noise[t]),
    )


def _is_above_noise(verdict: CaseVerdict, margins: Mapping[str, Margin]) -> bool:
    """Return whether a metric is above the largest value that harmless changes gave it."""
    return any(
        metric.value is None or metric.value > noise_level(name, margins[name])
        for name, metric in verdict.metrics.items()
    )


def _require_thresholds(cases: Sequence[RecordedCase], judge: Judge) -> None:
    for _, golden, _ in cases:
        for tier in TIERS:
            missing = set(TIER_METRICS[tier]) - set(judge.margins(golden, tier))
            if missing:
                names = ", ".join(sorted(missing))
                raise JudgementError(
                    f"golden {golden.name}: no threshold for {names} at {tier}; "
                    "run turbo-lab golden calibrate --write"
                )


def run_with(fault: Fault, runner: CaseRunner, case: Case) -> Observation:
    """Run a case with a fault in the pipeline, which is intact again afterwards."""
    batch = fault.alter(case.batch)
    negative = None if fault.drops_negative else case.cell.negative_prompt
    cell = dataclasses.replace(
        case.cell, recipe=batch.recipe, batches=(batch,), negative_prompt=negative
    )
    seams = fault.seams()
    runner.resident.prepare(cell.recipe, seams.put_on_lora)
    with fault.weights(runner.resident.pipeline):
        seen = runner.run(dataclasses.replace(case, cell=cell), seams=seams)
    # A faulty pipeline does not know that it is one: its run names the cell that was requested.
    return dataclasses.replace(seen, cell_id=case.cell.cell_id)


def _worst_ratios(
    verdicts: Mapping[Tier, Sequence[CaseVerdict]],
) -> dict[Tier, dict[str, float]]:
    """Return the largest value of each metric over its threshold, by tier and then by name."""
    worst: dict[Tier, dict[str, float]] = {tier: {} for tier in verdicts}
    for tier, of_tier in verdicts.items():
        for verdict in of_tier:
            for name, metric in verdict.metrics.items():
                ratio = float("inf") if metric.value is None else metric.value / metric.threshold
                worst[tier][name] = max(worst[tier].get(name, 0.0), ratio)
    return worst
