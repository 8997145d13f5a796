"""Golden cases of two environments: which stage changed, by how much, and whether it matters.

Owns the comparison of the candidate's run of a case with this environment's, and with the
accepted golden. Pure: both runs are given; no pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turbo_lab.documents.golden import StageDifference
from turbo_lab.documents.upgrade import StageChange, UpgradeCase
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import StoreError
from turbo_lab.golden.check import library_judge
from turbo_lab.golden.document import Golden
from turbo_lab.golden.fresh_process import read_stages
from turbo_lab.golden.judgement import CaseVerdict, Judge
from turbo_lab.golden.library import GoldenLibrary, StoredTensors
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.stages import STAGE_KINDS, StageValue, causes, differences, stage_kind
from turbo_lab.upgrade.messages import DrawnCase, DrawnCases
from turbo_lab.verdict import Verdict


@dataclass(frozen=True)
class Run:
    """One run of a case in one environment."""

    drawn: DrawnCase
    """Answer of the process about it."""
    seen: Observation | None
    """Every stage; ``None``: it could not be drawn."""


def read_runs(drawn: DrawnCases, file: Path) -> dict[str, Run]:
    """Return the runs of cases, by name, from a probe's answer and its file of stages."""
    stages = read_stages(file)
    return {one.name: Run(one, _observation(one, stages.get(one.name))) for one in drawn.cases}


def _observation(drawn: DrawnCase, stages: tuple[StageValue, ...] | None) -> Observation | None:
    if stages is None or drawn.cell_id is None:
        return None
    fingerprint = Fingerprint(keys=drawn.keys or {}, options=drawn.options or {})
    return Observation(drawn.cell_id, stages, fingerprint)


def compare_cases(
    by_case: Mapping[str, GoldenLibrary], here: Mapping[str, Run], there: Mapping[str, Run]
) -> dict[str, UpgradeCase]:
    """Compare the runs of all cases, each with the judge of its library."""
    judges = {library.root: library_judge(library) for library in by_case.values()}
    return {
        name: compare_case(library, judges[library.root], here[name], there[name])
        for name, library in by_case.items()
    }


def compare_case(library: GoldenLibrary, judge: Judge, here: Run, there: Run) -> UpgradeCase:
    """Compare the candidate's run of a case with this environment's and with the golden.

    What this environment does not pass either is not the upgrade's: then only the comparison of
    the two runs decides.
    """
    name = here.drawn.name
    anchor_here = _against_golden(library, judge, here)
    anchor = _against_golden(library, judge, there)
    if there.seen is None or here.seen is None:
        verdict, message = _not_drawn(here.drawn, there.drawn)
        return UpgradeCase(
            name,
            verdict,
            message,
            identical=False,
            golden=anchor.verdict,
            golden_here=anchor_here.verdict,
        )
    golden = library.read_if_any(name)
    if golden is None:
        relative = CaseVerdict.without_tier(name, Verdict.UNCOVERED, "has no golden")
    else:
        stored = StoredTensors({one.stage: one.values for one in here.seen.stages})
        relative = judge.judge(_as_golden(golden, here.seen), stored, there.seen, tier="T1")
    verdict, message = _joined(relative, anchor, anchor_here)
    tensors = {one.stage: one.values for one in here.seen.stages}
    stages = tuple(differences(here.seen.marks, tensors, there.seen.stages, there.seen.marks))
    return UpgradeCase(
        name,
        verdict,
        message,
        identical=here.seen.outcome == there.seen.outcome,
        golden=anchor.verdict,
        golden_here=anchor_here.verdict,
        first_difference=next((one for one in stages if not one.equal), None),
        stages=stages,
    )


def _against_golden(library: GoldenLibrary, judge: Judge, run: Run) -> CaseVerdict:
    """Judge a run by the accepted golden."""
    name = run.drawn.name
    if run.seen is None:
        verdict = Verdict.UNCOVERED if run.drawn.is_missing else Verdict.ERROR
        return CaseVerdict.without_tier(name, verdict, run.drawn.error or "was not drawn")
    try:
        golden = library.read_if_any(name)
        if golden is None:
            return CaseVerdict.without_tier(name, Verdict.UNCOVERED, "has no golden")
        return judge.judge(golden, library.stored_tensors(golden), run.seen)
    except StoreError as error:
        return CaseVerdict.without_tier(name, Verdict.ERROR, str(error))


def _as_golden(golden: Golden, seen: Observation) -> Golden:
    """Return this environment's run as a golden, with the thresholds of the accepted one."""
    accepted = replace(golden.accepted[0], outcome=seen.outcome, expires=None)
    return replace(
        golden,
        cell_id=seen.cell_id,
        fingerprint=seen.fingerprint,
        stages=seen.marks,
        accepted=(accepted,),
        known_bad={},
    )


def _not_drawn(here: DrawnCase, there: DrawnCase) -> tuple[Verdict, str]:
    if here.error is not None and (there.error is not None or here.is_missing):
        return Verdict.UNCOVERED, f"cannot be drawn in this environment: {here.error}"
    if here.error is not None:
        return Verdict.ERROR, f"could not be drawn in this environment: {here.error}"
    return Verdict.ERROR, f"could not be drawn by the candidate: {there.error}"


def _joined(
    relative: CaseVerdict, anchor: CaseVerdict, anchor_here: CaseVerdict
) -> tuple[Verdict, str]:
    """Return the verdict on a case, from its comparisons with both references."""
    if anchor_here.verdict != Verdict.PASS:
        note = f"this environment does not pass the golden either ({anchor_here.message})"
        return relative.verdict, f"{relative.message}; {note}"
    if anchor.verdict != Verdict.PASS:
        return anchor.verdict, f"{anchor.message}, against the golden"
    return relative.verdict, relative.message


def with_causes(case: UpgradeCase, here: Run, fed: Run) -> UpgradeCase:
    """Add the stages that differ although their inputs are this environment's.

    ``fed``: a run of the candidate in which this environment's tensors replaced its own.
    """
    if here.seen is None or fed.seen is None:
        return case
    tensors = {one.stage: one.values for one in here.seen.stages}
    own = differences(here.seen.marks, tensors, fed.seen.stages, fed.seen.marks)
    shapes = {one.stage: one.values.shape for one in here.seen.stages}
    replaced = {one.stage for one in fed.seen.stages if shapes.get(one.stage) == one.values.shape}
    return replace(case, causes=tuple(causes(own, replaced)))


def stage_changes(cases: Sequence[UpgradeCase]) -> tuple[StageChange, ...]:
    """Return how each kind of stage changed over all cases, in the order of the stages."""
    found = []
    kinds = {stage_kind(one.stage) for case in cases for one in case.stages}
    for kind in (*(k for k in STAGE_KINDS if k in kinds), *sorted(kinds - set(STAGE_KINDS))):
        of_kind = {case.name: _of_kind(case.stages, kind) for case in cases}
        different = [one for rows in of_kind.values() for one in rows if not one.equal]
        found.append(
            StageChange(
                kind=kind,
                cases=sum(any(not one.equal for one in rows) for rows in of_kind.values()),
                of=sum(bool(rows) for rows in of_kind.values()),
                first_in=sum(_is_first(case, kind) for case in cases),
                cause_in=sum(any(stage_kind(c) == kind for c in case.causes) for case in cases),
                max_abs=_largest([one.max_abs for one in different]),
                relative_l2=_largest([one.relative_l2 for one in different]),
            )
        )
    return tuple(found)


def _of_kind(stages: Sequence[StageDifference], kind: str) -> list[StageDifference]:
    return [one for one in stages if stage_kind(one.stage) == kind]


def _is_first(case: UpgradeCase, kind: str) -> bool:
    first = case.first_difference
    return first is not None and stage_kind(first.stage) == kind


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def differing(cases: Mapping[str, UpgradeCase]) -> list[str]:
    """Return the cases that both environments drew, and not bit for bit equal."""
    return [name for name, case in cases.items() if case.stages and not case.identical]
