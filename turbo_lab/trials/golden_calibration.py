"""Calibration: how far harmless changes move a case, from which the thresholds follow.

Every golden's case is run under every harmless change, and every metric of T1 and T2 is
measured. A threshold is a fixed multiple of the largest value. A stored threshold that is far
looser than a new one is reported, so that thresholds only ever tighten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from turbo_lab.documents.golden import Margin, Thresholds, Tier
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.golden.distances import Embed, measure_distances, threshold_name
from turbo_lab.golden.judgement import CASE_CHANGED, accept_hint
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.run_case import (
    SWEEP_DRAWING,
    CaseRunner,
    Drawing,
    RecordedCase,
    ResolveCase,
    resolve_case,
)
from turbo_lab.golden.stages import differences
from turbo_lab.golden.thresholds import is_loose, margin
from turbo_lab.progress import track
from turbo_lab.trials.harmless import HARMLESS, Harmless
from turbo_lab.trials.reanchor import anchored

_CALIBRATED: tuple[Tier, ...] = ("T1", "T2")


@dataclass(frozen=True)
class Calibration:
    """Effects of harmless changes, and the thresholds that follow."""

    thresholds: Thresholds
    """Thresholds by tier, then by metric."""
    by_change: Mapping[str, Mapping[str, float]]
    """Largest value of each T1 and T2 metric (``T1 window_density``), by change."""
    exact: Mapping[str, int] = field(default_factory=dict)
    """Number of cases that a change left identical to the bit, by change."""
    cases: int = 0
    """Number of cases run under each change."""
    loose: tuple[str, ...] = ()
    """Stored thresholds that are far above the values seen now, one line each."""


@dataclass(frozen=True)
class Sample:
    """One distance between a golden and its case under a harmless change."""

    tier: Tier
    """Tier that judges by the metric."""
    name: str
    """Name of the metric."""
    value: float
    """Distance: larger is worse."""


@dataclass(frozen=True)
class Trial:
    """One case under one harmless change."""

    change: str
    """Name of the change."""
    identical: bool
    """True if every stage is identical to the golden's."""
    stages: tuple[Sample, ...]
    """Relative distance of each stage, which locates a divergence, for each tier."""
    metrics: tuple[Sample, ...]
    """Metrics that the tiers judge by."""


def load_cases(library: GoldenLibrary, resolve: ResolveCase = resolve_case) -> list[RecordedCase]:
    """Resolve the case of every recorded golden.

    ``resolve`` may change what every case is drawn with, such as its device. Raises
    ``InputError`` if there is no golden.
    """
    goldens = library.read_all()
    if not goldens:
        raise InputError(f"{library.root}: has no goldens yet; run turbo-lab golden record")
    return [
        RecordedCase(
            case=resolve(name, golden.overrides),
            golden=golden,
            stored=library.stored_tensors(golden),
        )
        for name, golden in goldens.items()
    ]


def calibrate(
    cases: Sequence[RecordedCase],
    embed: Embed,
    stored: Thresholds | None,
    *,
    changes: Sequence[Harmless] = HARMLESS,
    drawing: Drawing = SWEEP_DRAWING,
) -> Calibration:
    """Run every case under every harmless change; deterministic on one machine.

    ``stored`` thresholds, and those that the goldens carry, are compared with the new ones;
    with ``None``, none are. A golden of another environment is compared with a run in this
    one. Raises :class:`JudgementError` if a case does not reproduce its golden's bits: a
    fault would be taken for noise.
    """
    runner = CaseRunner([one.case for one in cases], drawing)
    for case, golden, _ in cases:
        if case.cell.cell_id != golden.cell_id:
            hint = accept_hint(golden.name)
            raise JudgementError(f"golden {golden.name}: {CASE_CHANGED}; {hint}")
    cases = anchored(cases, runner)
    trials = [
        observe(one, change, runner, embed)
        for change in track(changes, "harmless changes")
        for one in cases
    ]
    by_change = {
        change.name: [trial for trial in trials if trial.change == change.name]
        for change in changes
    }
    thresholds = _thresholds(trials)
    kept = [] if stored is None else [stored, *(golden.thresholds for _, golden, _ in cases)]
    loose = dict.fromkeys(line for one in kept for line in _loose(one, thresholds))
    return Calibration(
        thresholds=thresholds,
        by_change={name: _worst(of_change) for name, of_change in by_change.items()},
        exact={name: sum(t.identical for t in group) for name, group in by_change.items()},
        cases=len(cases),
        loose=tuple(loose),
    )


def observe(one: RecordedCase, change: Harmless, runner: CaseRunner, embed: Embed) -> Trial:
    """Run a case under a change and measure its distances from the golden.

    Raises :class:`JudgementError` if a change that must keep every bit does not, or if a
    metric cannot be computed.
    """
    case, golden, stored = one
    here = change.run(runner, case)
    identical = here.outcome == golden.outcome
    if change.tier == "T0" and not identical:
        raise JudgementError(
            f"golden {golden.name}: {change.name} is not identical to the bit, so a fault "
            "would look like noise; run turbo-lab golden check --explain"
        )
    stages = differences(golden.stages, stored.tensors, here.stages, here.marks)

    def sample(tier: Tier, name: str, value: float | None, reason: str | None) -> Sample:
        if value is None:
            raise JudgementError(
                f"golden {golden.name}: {change.name}: {name} could not be computed ({reason})"
            )
        return Sample(tier, name, value)

    return Trial(
        change=change.name,
        identical=identical,
        stages=tuple(
            sample(tier, threshold_name(s.stage), s.relative_l2, "another shape")
            for s in stages
            for tier in _CALIBRATED
        ),
        metrics=tuple(
            sample(tier, name, distance.value, distance.reason)
            for tier in _CALIBRATED
            for name, distance in measure_distances(
                stored.pixels, here.pixels, stages, tier, embed=embed
            ).items()
        ),
    )


def _thresholds(trials: Sequence[Trial]) -> dict[str, dict[str, Margin]]:
    values: dict[str, dict[str, list[float]]] = {tier: {} for tier in _CALIBRATED}
    for trial in trials:
        for sample in (*trial.stages, *trial.metrics):
            values[sample.tier].setdefault(sample.name, []).append(sample.value)
    return {
        tier: {name: margin(name, seen) for name, seen in by_name.items()}
        for tier, by_name in values.items()
    }


def _worst(trials: Iterable[Trial]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for trial in trials:
        for sample in trial.metrics:
            name = f"{sample.tier} {sample.name}"
            worst[name] = max(worst.get(name, 0.0), sample.value)
    return worst


def _loose(stored: Thresholds, now: Thresholds) -> list[str]:
    return [
        f"{tier} {name}: {old.threshold:.3g} stored, {now[tier][name].observed:.3g} seen"
        for tier, margins in stored.items()
        for name, old in margins.items()
        if name in now[tier] and is_loose(name, old, now[tier][name])
    ]
