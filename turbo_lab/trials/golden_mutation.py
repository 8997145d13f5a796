"""Which faults the goldens would see: each put into the pipeline, each tier asked.

A golden that was never shown to fail says little. The score is the share of
faults that some golden catches at T0, where every one of them must be caught.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from turbo_lab.errors import JudgementError
from turbo_lab.golden.document import Golden, Margin
from turbo_lab.golden.judgement import FIGURES, CaseVerdict, Embed, Observation, judge, margins_of
from turbo_lab.golden.library import Material
from turbo_lab.golden.lifecycle import today
from turbo_lab.golden.run_case import Case, CaseRunner
from turbo_lab.golden.stages import StageDifference
from turbo_lab.golden.thresholds import noise_of
from turbo_lab.golden.tiers import TIERS, Tier
from turbo_lab.progress import track
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.harmless import HARMLESS, Harmless
from turbo_lab.trials.reanchor import anchored
from turbo_lab.verdict import Verdict

Loaded = tuple[Case, Golden, Material]
Thresholds = Mapping[str, Mapping[str, Margin]]


@dataclass(frozen=True)
class FaultOutcome:
    """What the goldens said of one fault."""

    name: str
    """Of the fault."""
    caught: bool
    """By some case, at T0."""
    by_tier: Mapping[str, bool | None]
    """Whether some case caught it; ``None`` where no case can show it."""
    cases: int
    """Cases that can show it."""
    first_divergence: StageDifference | None
    """In the first case that caught it."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Worst of each figure over its threshold, by ``T1 window_density``: below 1 is not seen."""
    above_noise: tuple[Tier, ...] = ()
    """Tiers that missed it though a figure is above all that harmless changes do."""


@dataclass(frozen=True)
class HarmlessOutcome:
    """What the goldens said of one harmless change."""

    name: str
    """Of the change."""
    alarm: bool
    """Whether any case alarmed at the tier meant for it."""
    tier: Tier
    """That tier."""
    cases: int
    """Cases run."""


def mutate(
    cases: Sequence[Loaded],
    thresholds: Thresholds,
    embed: Embed,
    faults: Sequence[Fault] = FAULTS,
    changes: Sequence[Harmless] = HARMLESS,
) -> tuple[list[FaultOutcome], list[HarmlessOutcome]]:
    """Every fault and every harmless change, on every case that can show it.

    Raises :class:`JudgementError` without thresholds: every case would end in an error,
    and none of them for the fault's sake.
    """
    _check_thresholds(cases, thresholds)
    runner = CaseRunner([case for case, *_ in cases])
    cases = anchored(cases, runner)
    watched = track(faults, "faults judged by goldens")
    tried = [_try_fault(fault, cases, runner, thresholds, embed) for fault in watched]
    harmless = []
    for change in track(changes, "harmless changes"):
        verdicts = [
            judge(golden, material, change.run(runner, case), thresholds, today(), embed,
                  change.tier)
            for case, golden, material in cases
        ]  # fmt: skip
        alarm = any(verdict.verdict != Verdict.PASS for verdict in verdicts)
        harmless.append(HarmlessOutcome(change.name, alarm, change.tier, len(verdicts)))
    return tried, harmless


def _try_fault(
    fault: Fault,
    cases: Sequence[Loaded],
    runner: CaseRunner,
    thresholds: Thresholds,
    embed: Embed,
) -> FaultOutcome:
    fitting = [c for c in cases if fault.applies(c[0].batch, c[0].cell.negative_prompt)]
    verdicts: dict[Tier, list[CaseVerdict]] = {tier: [] for tier in TIERS}
    for case, golden, material in fitting:
        seen = run_with(fault, runner, case)
        for tier in TIERS:
            verdicts[tier].append(judge(golden, material, seen, thresholds, today(), embed, tier))
    caught: dict[str, bool | None] = {
        tier: any(v.verdict != Verdict.PASS for v in verdicts[tier]) if fitting else None
        for tier in TIERS
    }
    first = next((v.first_divergence for v in verdicts["T0"] if v.verdict != Verdict.PASS), None)
    loud = {
        tier: any(
            _is_loud(verdict, margins_of(golden, thresholds, tier))
            for verdict, (_, golden, _) in zip(verdicts[tier], fitting, strict=True)
        )
        for tier in TIERS
    }
    return FaultOutcome(
        name=fault.name,
        caught=bool(caught["T0"]),
        by_tier=caught,
        cases=len(fitting),
        first_divergence=first,
        figures=_worst(verdicts),
        above_noise=tuple(tier for tier in TIERS if caught[tier] is False and loud[tier]),
    )


def _is_loud(verdict: CaseVerdict, margins: Mapping[str, Margin]) -> bool:
    """Whether a figure is above what harmless changes were seen to do."""
    return any(
        figure.value is None or figure.value > noise_of(name, margins[name])
        for name, figure in verdict.figures.items()
    )


def _check_thresholds(cases: Sequence[Loaded], thresholds: Thresholds) -> None:
    for _, golden, _ in cases:
        for tier in TIERS:
            lacking = set(FIGURES[tier]) - set(margins_of(golden, thresholds, tier))
            if lacking:
                names = ", ".join(sorted(lacking))
                raise JudgementError(
                    f"golden {golden.name}: no threshold for {names} at {tier}; "
                    "turbo-lab golden calibrate --write"
                )


def run_with(fault: Fault, runner: CaseRunner, case: Case) -> Observation:
    """A case's observation with a fault in the pipeline; the pipeline is whole afterwards."""
    batch = fault.alter(case.batch)
    negative = None if fault.drops_negative else case.cell.negative_prompt
    cell = dataclasses.replace(
        case.cell, recipe=batch.recipe, batches=(batch,), negative_prompt=negative
    )
    worker = runner.worker
    worker.forget_adapters()
    try:
        with fault.loading():
            worker.prepare(case.cell.recipe)
        with fault.running(worker.pipeline()):
            seen = runner.run(dataclasses.replace(case, cell=cell))
    finally:
        worker.forget_adapters()
    # The fault does not know that it is one: it claims to have drawn the case.
    return dataclasses.replace(seen, cell_id=case.cell.cell_id)


def _worst(verdicts: Mapping[Tier, Sequence[CaseVerdict]]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for tier, found in verdicts.items():
        for verdict in found:
            for name, figure in verdict.figures.items():
                ratio = float("inf") if figure.value is None else figure.value / figure.threshold
                key = f"{tier} {name}"
                worst[key] = max(worst.get(key, 0.0), ratio)
    return worst
