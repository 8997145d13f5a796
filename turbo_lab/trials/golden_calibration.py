"""How far harmless changes move a case: where the thresholds come from.

Every golden's case is run under every harmless change of its tier, each figure
of the tiers above T0 is taken, and a threshold is a stated multiple of the worst
one seen. A stored threshold that is far looser than that is named: it ratchets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from turbo_lab.errors import InputError, JudgementError
from turbo_lab.golden.document import Golden, Margin
from turbo_lab.golden.judgement import (
    FIGURES,
    OTHER_WORK,
    STAGE_FIGURE,
    Embed,
    if_meant,
    measure_figures,
)
from turbo_lab.golden.library import GoldenLibrary, Material
from turbo_lab.golden.run_case import Case, CaseRunner, resolve_case
from turbo_lab.golden.stages import differences, stage_kind
from turbo_lab.golden.thresholds import is_loose, margin
from turbo_lab.golden.tiers import Tier
from turbo_lab.progress import track
from turbo_lab.trials.harmless import HARMLESS
from turbo_lab.trials.reanchor import anchored

Seen = dict[str, dict[str, list[float]]]
Thresholds = Mapping[str, Mapping[str, Margin]]


@dataclass(frozen=True)
class Calibration:
    """What harmless changes were seen to do."""

    thresholds: Mapping[str, Mapping[str, Margin]]
    """By tier, then figure."""
    by_change: Mapping[str, Mapping[str, float]]
    """Worst of each T1 and T2 figure (``T1 window_density``) under each change."""
    exact: Mapping[str, int] = field(default_factory=dict)
    """Cases that a change left identical to the bit."""
    cases: int = 0
    """Cases run under each change."""
    loose: tuple[str, ...] = ()
    """Stored thresholds that are far above what is seen now."""


def load_cases(
    library: GoldenLibrary, overrides: Sequence[str] = ()
) -> list[tuple[Case, Golden, Material]]:
    """Resolve the case of every recorded golden, with ``overrides`` after its own.

    Raises ``InputError`` if there is no golden.
    """
    found = library.read_all()
    if not found:
        raise InputError(f"{library.root}: has no goldens yet; turbo-lab golden record")
    return [
        (resolve_case(name, (*golden.overrides, *overrides)), golden, library.material(golden))
        for name, golden in found.items()
    ]


def calibrate(
    cases: Sequence[tuple[Case, Golden, Material]],
    embed: Embed,
    stored: Thresholds | None,
) -> Calibration:
    """Run every case under every harmless change. Deterministic but for the machine.

    ``stored`` thresholds, and those that the goldens carry, are held against what was
    seen; with ``None`` none are. A golden of another environment is anchored on this
    one. Raises :class:`JudgementError` where a case does not give its golden's bits
    again: a fault would be learnt as noise.
    """
    seen: Seen = {"T1": defaultdict(list), "T2": defaultdict(list)}
    by_change: dict[str, dict[str, float]] = {}
    exact: dict[str, int] = {}
    runner = CaseRunner([case for case, *_ in cases])
    for case, golden, _ in cases:
        if case.cell.cell_id != golden.cell_id:
            raise JudgementError(f"golden {golden.name}: {OTHER_WORK}; {if_meant(golden.name)}")
    cases = anchored(cases, runner)
    for change in track(HARMLESS, "harmless changes"):
        worst: dict[str, float] = defaultdict(float)
        exact[change.name] = 0
        for case, golden, material in cases:
            here = change.run(runner, case)
            exact[change.name] += here.outcome == golden.outcome
            if change.tier == "T0" and here.outcome != golden.outcome:
                raise JudgementError(
                    f"golden {golden.name}: {change.name} is not identical to the bit, so that "
                    "nothing can be distinguished from noise; see turbo-lab golden check --explain"
                )
            stages = differences(golden.stages, material.tensors, here.stages, here.marks)
            for stage in stages:
                assert stage.relative_l2 is not None, stage
                kind = f"{STAGE_FIGURE}/{stage_kind(stage.stage)}"
                for figures in seen.values():
                    figures[kind].append(stage.relative_l2)
            for tier in seen:
                values = measure_figures(material.tensors, stages, here, _tier(tier), embed)
                for name, (value, note) in values.items():
                    assert value is not None, note
                    seen[tier][name].append(value)
                    worst[f"{tier} {name}"] = max(worst[f"{tier} {name}"], value)
        by_change[change.name] = dict(worst)
    thresholds = {
        tier: {name: margin(name, values) for name, values in figures.items()}
        for tier, figures in seen.items()
    }
    kept = [] if stored is None else [stored, *(golden.thresholds for _, golden, _ in cases)]
    loose = dict.fromkeys(line for one in kept for line in _loose(one, thresholds))
    return Calibration(thresholds, by_change, exact, len(cases), tuple(loose))


def _loose(stored: Thresholds, now: Thresholds) -> list[str]:
    return [
        f"{tier} {name}: {old.threshold:.3g} stored, {now[tier][name].observed:.3g} seen"
        for tier, figures in stored.items()
        for name, old in figures.items()
        if name in now[tier] and is_loose(name, old, now[tier][name])
    ]


def _tier(name: str) -> Tier:
    found: dict[str, Tier] = {tier: tier for tier in FIGURES}
    return found[name]
