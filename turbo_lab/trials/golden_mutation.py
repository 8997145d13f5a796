"""Mutation of goldens: each fault is put into the pipeline and judged at each tier.

A golden that was never shown to fail says little. The score is the share of
faults that some golden catches at T0, where every one of them must be caught.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from turbo_lab.documents.golden import FaultOutcome, HarmlessOutcome, Margin, Thresholds, Tier
from turbo_lab.errors import JudgementError
from turbo_lab.golden.fresh_process import DrawFresh
from turbo_lab.golden.judgement import FIGURES, CaseVerdict, Embed, Observation, judge, margins_of
from turbo_lab.golden.lifecycle import today
from turbo_lab.golden.run_case import Case, CaseRunner, RecordedCase
from turbo_lab.golden.thresholds import noise_of
from turbo_lab.golden.tiers import TIERS
from turbo_lab.progress import track
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.harmless import HARMLESS, Harmless
from turbo_lab.trials.reanchor import anchored
from turbo_lab.verdict import Verdict

_Judge = Callable[..., CaseVerdict]


@dataclass(frozen=True)
class Mutation:
    """Verdicts on all faults and harmless changes."""

    faults: tuple[FaultOutcome, ...]
    """One outcome per fault."""
    harmless: tuple[HarmlessOutcome, ...]
    """One outcome per harmless change."""

    @property
    def score(self) -> float:
        """Share of the faults that some case can show which are caught at T0."""
        shown = [fault.caught for fault in self.faults if fault.cases]
        return sum(shown) / len(shown)

    @property
    def passes(self) -> bool:
        """Whether every fault is caught, none is missed above the noise, and no change alarms."""
        is_blind = self.score < 1 or any(fault.above_noise for fault in self.faults)
        return not is_blind and not any(change.alarm for change in self.harmless)


def mutate(
    cases: Sequence[RecordedCase],
    thresholds: Thresholds,
    embed: Embed,
    *,
    faults: Sequence[Fault] = FAULTS,
    changes: Sequence[Harmless] = HARMLESS,
    draw_fresh: DrawFresh | None = None,
) -> Mutation:
    """Try every fault and every harmless change on every case that can show it.

    ``draw_fresh`` draws cases in a fresh process; see :class:`CaseRunner`. Raises
    :class:`JudgementError` without thresholds: every case would end in an error that
    has nothing to do with a fault.
    """
    _check_thresholds(cases, thresholds)
    runner = CaseRunner([case for case, *_ in cases], draw_fresh=draw_fresh)
    cases = anchored(cases, runner)
    judge_here = partial(judge, thresholds=thresholds, today=today(), embed=embed)
    return Mutation(
        tuple(
            _try_fault(fault, cases, runner, thresholds, judge_here=judge_here)
            for fault in track(faults, "faults judged by goldens")
        ),
        tuple(
            _try_change(change, cases, runner, judge_here)
            for change in track(changes, "harmless changes")
        ),
    )


def _try_change(
    change: Harmless, cases: Sequence[RecordedCase], runner: CaseRunner, judge_here: _Judge
) -> HarmlessOutcome:
    verdicts = [
        judge_here(golden, stored, change.run(runner, case), tier=change.tier).verdict
        for case, golden, stored in cases
    ]
    alarm = any(verdict != Verdict.PASS for verdict in verdicts)
    return HarmlessOutcome(change.name, alarm, change.tier, len(verdicts))


def _try_fault(
    fault: Fault,
    cases: Sequence[RecordedCase],
    runner: CaseRunner,
    thresholds: Thresholds,
    judge_here: _Judge,
) -> FaultOutcome:
    fitting = [c for c in cases if fault.applies(c.case.batch, c.case.cell.negative_prompt)]
    seen = [run_with(fault, runner, one.case) for one in fitting]
    verdicts: dict[Tier, list[CaseVerdict]] = {
        tier: [
            judge_here(golden, stored, run, tier=tier)
            for (_, golden, stored), run in zip(fitting, seen, strict=True)
        ]
        for tier in TIERS
    }
    caught: dict[str, bool | None] = {
        tier: any(v.verdict != Verdict.PASS for v in verdicts[tier]) if fitting else None
        for tier in TIERS
    }
    first = next((v.first_divergence for v in verdicts["T0"] if v.verdict != Verdict.PASS), None)
    loud = {
        tier: any(
            _is_loud(verdict, margins_of(one.golden, thresholds, tier))
            for verdict, one in zip(verdicts[tier], fitting, strict=True)
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
    """Return whether a metric is above all that harmless changes were seen to do."""
    return any(
        figure.value is None or figure.value > noise_of(name, margins[name])
        for name, figure in verdict.figures.items()
    )


def _check_thresholds(cases: Sequence[RecordedCase], thresholds: Thresholds) -> None:
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
    """Observe a case with a fault in the pipeline; the pipeline is whole afterwards."""
    batch = fault.alter(case.batch)
    negative = None if fault.drops_negative else case.cell.negative_prompt
    cell = dataclasses.replace(
        case.cell, recipe=batch.recipe, batches=(batch,), negative_prompt=negative
    )
    seams = fault.seams()
    runner.resident.prepare(cell.recipe, seams.put_on_lora)
    with fault.weights(runner.resident.pipeline):
        seen = runner.run(dataclasses.replace(case, cell=cell), seams=seams)
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
