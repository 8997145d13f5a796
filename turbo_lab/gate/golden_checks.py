"""The checks of a gate that run golden cases: goldens, coverage, invariance and mutation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from turbo_lab.documents.gate import CheckResult, GateGolden
from turbo_lab.errors import InputError
from turbo_lab.gate import checks
from turbo_lab.gate.policy import Policy
from turbo_lab.golden.check import CaseCheck, check, library_judge
from turbo_lab.golden.coverage import missing_features
from turbo_lab.golden.library import GoldenLibrary, library_by_case
from turbo_lab.golden.run_case import RecordedCase
from turbo_lab.trials.golden_calibration import load_cases


def check_goldens(
    policy: Policy, libraries: Sequence[GoldenLibrary], model: str
) -> Iterator[CheckResult]:
    """Yield the verdict on the goldens, and on the features that they cover.

    ``model``: digest of the candidate's model.
    """
    by_case = library_by_case(libraries)
    names = list(policy.goldens or by_case)
    checked: list[CaseCheck] = []
    counts = []
    for library in libraries:
        own = [name for name in names if by_case[name] is library]
        counts.append(len(own))
        if own:
            checked += check(library, own, library_judge(library))
    verdicts = [one.verdict for one in checked]
    row = checks.golden_check(verdicts, policy.min_goldens, policy.golden_tier)
    judged = [
        by_case[name].read(name) for name in checks.covered_cases(verdicts, policy.golden_tier)
    ]
    notes = [row.note] if row.note else []
    if all(counts) and len(counts) > 1:
        notes.append(f"{counts[0]} of your own and {counts[1]} packaged")
    if missing_features(["candidate_model"], judged, model):
        notes.append("none has the candidate's weights, so they judge the installed code only")
    goldens = tuple(map(_judged, checked))
    yield dataclasses.replace(row, note="; ".join(notes) or None, goldens=goldens)
    if policy.coverage:
        missing = missing_features(policy.coverage, judged, model)
        yield checks.coverage_check(missing, policy.coverage)


def _judged(checked: CaseCheck) -> GateGolden:
    case = checked.verdict
    return GateGolden(
        name=case.name,
        verdict=case.verdict,
        tier=case.tier,
        message=case.message,
        first_divergence=None if case.first_divergence is None else case.first_divergence.stage,
        wall_s=checked.wall_s,
    )


def check_invariance(libraries: Sequence[GoldenLibrary], names: Sequence[str]) -> CheckResult:
    """Check that the way of drawing does not change the images of the named cases."""
    from turbo_lab.trials.golden_invariance import invariance

    rows = invariance(loaded_cases(libraries, names), library_judge(libraries[0]))
    compared = [row for row in rows if row.cases]
    broken = {row.name: row.max_abs for row in compared if not row.holds}
    return checks.invariance_check(broken, len(compared))


def check_mutation(libraries: Sequence[GoldenLibrary], names: Sequence[str]) -> CheckResult:
    """Check that the named cases catch every fault that they can show."""
    from turbo_lab.trials.golden_mutation import mutate

    mutation = mutate(loaded_cases(libraries, names), library_judge(libraries[0]))
    shown = [fault for fault in mutation.faults if fault.cases]
    missed = [fault.name for fault in shown if not fault.caught]
    alarms = [change.name for change in mutation.harmless if change.alarm]
    return checks.mutation_check(missed, len(shown), alarms)


def loaded_cases(libraries: Sequence[GoldenLibrary], names: Sequence[str]) -> list[RecordedCase]:
    """Return recorded cases by name, in the given order.

    Without a name, these are all cases of the first library. Raises ``InputError`` for a case
    that has no golden.
    """
    searched = libraries if names else libraries[:1]
    cases = {one.case.name: one for library in reversed(searched) for one in load_cases(library)}
    missing = [name for name in names if name not in cases]
    if missing:
        raise InputError(f"{', '.join(missing)}: no golden yet; run turbo-lab golden record")
    return [cases[name] for name in names] if names else list(cases.values())
