"""Record, accept and reject outcomes of golden cases.

Owns the rules of writing: nothing is recorded that fresh processes do not reproduce, and
only ``accept`` replaces a golden.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.documents.golden import AcceptedCase, Thresholds
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.golden.document import Acceptance, Golden, GoldenContent
from turbo_lab.golden.fresh_process import Stages
from turbo_lab.golden.judgement import CASE_CHANGED, accept_hint
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import SWEEP_DRAWING, Case, CaseRunner, Drawing, resolve_case
from turbo_lab.golden.stages import mark, ordered_by_worth
from turbo_lab.progress import track

Overrides = Mapping[str, Sequence[str]]
"""Config overrides of cases, by name."""


@dataclass(frozen=True)
class Recording:
    """Settings of a recording: the person who vouches for it, and its proof."""

    acceptance: Acceptance
    """The person's decision that they are right."""
    thresholds: Thresholds
    """Thresholds of new goldens, by tier, then by metric."""
    processes: int
    """Number of fresh processes that must generate the same bits."""
    drawing: Drawing = SWEEP_DRAWING
    """Way of drawing the cases."""


def record(
    library: GoldenLibrary, cases: Overrides, recording: Recording, *, replace: bool = False
) -> list[Golden]:
    """Record goldens of cases, if fresh processes reproduce them.

    ``replace``: whether existing goldens are replaced. Raises :class:`JudgementError` for a
    case that is not reproducible, before anything is written.
    """
    resolved = _resolve(cases)
    _refuse_duplicates(library, resolved)
    observed = _observe(resolved, recording.drawing, recording.processes)
    written = []
    for case in resolved:
        seen = observed[case.name]
        content = GoldenContent.anchor(
            library.read_if_any(case.name),
            name=case.name,
            overrides=case.overrides,
            cell_id=case.cell.cell_id,
            recipe=case.cell.recipe,
            prompts=case.batch.layout.prompts,
            seeds=case.batch.layout.seeds,
            fingerprint=seen.fingerprint,
            stages=seen.marks,
            processes=recording.processes,
            acceptance=recording.acceptance,
            thresholds=recording.thresholds,
        )
        written.append(library.write(content, ordered_by_worth(seen.stages), replace))
    added = {case.name: case.overrides for case in resolved}
    library.write_cases(library.cases_if_any() | added)
    return written


def accept(
    library: GoldenLibrary, names: Sequence[str], recording: Recording
) -> list[AcceptedCase]:
    """Accept the outcomes of cases in this environment.

    They become the goldens; an acceptance that expires is added next to the goldens instead.
    Raises :class:`JudgementError` for a case that is not reproducible.
    """
    overrides = library.cases()
    cases = {name: overrides[name] for name in names}
    old = {name: library.read_if_any(name) for name in names}
    expires = recording.acceptance.expires
    if expires is None:
        accepted = record(library, cases, recording, replace=True)
        outcomes = {golden.name: golden.outcome for golden in accepted}
        parents = {golden.name: golden.parent for golden in accepted}
    else:
        outcomes = _accept_next_to(library, cases, recording)
        parents = dict.fromkeys(names)
    return [
        AcceptedCase(
            name=name,
            outcome=outcome,
            parent=parents[name],
            expires=expires,
            was_known_bad=before.known_bad.get(outcome) if (before := old[name]) else None,
        )
        for name, outcome in outcomes.items()
    ]


def _accept_next_to(
    library: GoldenLibrary, cases: Overrides, recording: Recording
) -> dict[str, str]:
    """Accept outcomes next to the goldens; return them by name."""
    outcomes = {}
    observed = _observe(_resolve(cases), recording.drawing, recording.processes)
    for name, seen in observed.items():
        accepted = recording.acceptance.accept(seen.outcome, seen.fingerprint.keys)
        golden = _require_same_cell(library.read(name), seen)
        library.write_document(golden.with_accepted(accepted))
        outcomes[name] = seen.outcome
    return outcomes


def reject(library: GoldenLibrary, name: str, reason: str, drawing: Drawing = SWEEP_DRAWING) -> str:
    """Record that the outcome of a case in this environment is known to be bad; return it."""
    seen = _observe(_resolve({name: library.cases()[name]}), drawing, processes=0)[name]
    golden = _require_same_cell(library.read(name), seen)
    library.write_document(golden.with_known_bad(seen.outcome, reason))
    return seen.outcome


def _require_same_cell(golden: Golden, seen: Observation) -> Golden:
    """Return the golden. Raises ``InputError`` if the run was of another cell."""
    if golden.cell_id != seen.cell_id:
        raise InputError(f"golden {golden.name}: {CASE_CHANGED}; {accept_hint(golden.name)}")
    return golden


def _refuse_duplicates(library: GoldenLibrary, resolved: Sequence[Case]) -> None:
    """Raise ``InputError`` for a case whose cell another golden has."""
    names = {
        golden.cell_id: golden.name
        for golden in map(library.read_if_any, library.cases_if_any())
        if golden is not None
    }
    for case in resolved:
        other = names.setdefault(case.cell.cell_id, case.name)
        if other != case.name:
            raise InputError(
                f"golden {case.name}: {other} has the same cell already; one golden is enough"
            )


def _resolve(cases: Overrides) -> list[Case]:
    return [resolve_case(name, overrides) for name, overrides in cases.items()]


def _observe(resolved: Sequence[Case], drawing: Drawing, processes: int) -> dict[str, Observation]:
    """Run cases here and in fresh processes; return the runs here, by name.

    Raises :class:`JudgementError` if a fresh process draws other bits.
    """
    runner = CaseRunner(resolved, drawing)
    observed = {case.name: runner.run(case) for case in resolved}
    overrides = {case.name: case.overrides for case in resolved}
    for _ in track(range(processes), "fresh processes"):
        _require_same_bits(observed, drawing.draw_fresh(overrides))
    return observed


def _require_same_bits(observed: Mapping[str, Observation], fresh: Mapping[str, Stages]) -> None:
    for name, seen in observed.items():
        for here, value in zip(seen.marks, fresh[name], strict=True):
            if here != mark(value):
                raise JudgementError(
                    f"golden {name}: is not reproducible on this machine: a fresh process differs "
                    f"first at {value.stage}; nothing was recorded. See docs/determinism.md"
                )


def bound95(processes: int) -> float:
    """Return the largest share of processes that may differ, with 95% confidence.

    By the rule of three: none of the processes differed from this one.
    """
    return min(1.0, 3 / (processes + 1))


def current_user() -> str:
    """Return the name of the person at work: git's user name, else the login name."""
    if shutil.which("git"):
        done = subprocess.run(
            ["git", "config", "user.name"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return getpass.getuser()
