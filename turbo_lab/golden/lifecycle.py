"""Recording and checking goldens: the part of their life that runs pipelines.

Nothing is minted that fresh processes do not agree on, and nothing that is
there is written over but by ``accept``.
"""

from __future__ import annotations

import datetime
import getpass
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from turbo_lab.documents.golden import StageDifference, Thresholds
from turbo_lab.environment import Keys
from turbo_lab.errors import (
    InputError,
    JudgementError,
    MissingFilesError,
    NonFiniteError,
    StoreError,
    TurboLabError,
)
from turbo_lab.golden.document import Acceptance, Golden, GoldenContent
from turbo_lab.golden.fresh_process import Stages, stages_in_fresh_process
from turbo_lab.golden.judgement import CaseVerdict, Embed, Observation, choose, if_meant, judge
from turbo_lab.golden.library import GoldenLibrary, StoredTensors, twin_text
from turbo_lab.golden.run_case import Case, CaseRunner, RecordedCase, Substitute, resolve_case
from turbo_lab.golden.stages import Values, causes, differences, mark, ordered_by_worth
from turbo_lab.progress import track
from turbo_lab.verdict import Verdict

Overrides = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Checked:
    """One case's verdict with what a report shows."""

    verdict: CaseVerdict
    """What is said of it."""
    expected: Values | None = None
    """(N, H, W, 3) uint8 of the golden; ``None`` where it cannot be read."""
    actual: Values | None = None
    """(N, H, W, 3) uint8 of this run; ``None`` where nothing ran."""
    own: tuple[StageDifference, ...] = ()
    """With ``explain``: what each stage adds when it is fed the golden's tensors."""
    causes: tuple[str, ...] = ()
    """Of those that still differ, the stages that were fed all they are made of."""
    fingerprints: Mapping[str, Keys] = field(default_factory=dict)
    """Keys by ``golden`` and ``here``; empty where one of them is not known."""


def today() -> datetime.date:
    """In UTC, as expiry dates are."""
    return datetime.datetime.now(datetime.UTC).date()


def check(
    library: GoldenLibrary,
    names: Sequence[str],
    thresholds: Thresholds,
    embed: Embed | None,
    explain: bool = False,
    overrides: Sequence[str] = (),
) -> list[Checked]:
    """Judge the named cases, one after the other. Never raises for one that is broken.

    ``overrides`` apply to every case, after its own: ``device=cuda`` checks elsewhere.
    """
    wanted, twins = library.cases(), library.twins()
    ready: dict[str, RecordedCase] = {}
    verdicts: dict[str, Checked] = {}
    for name in names:
        try:
            if name in twins:
                raise StoreError(twin_text(name, twins[name]))
            found = _prepare(library, name, wanted[name], overrides)
        except MissingFilesError as error:
            verdicts[name] = Checked(CaseVerdict(name, Verdict.UNCOVERED, None, str(error)))
        except TurboLabError as error:
            verdicts[name] = Checked(CaseVerdict(name, Verdict.ERROR, None, str(error)))
        else:
            if isinstance(found, Checked):
                verdicts[name] = found
            else:
                ready[name] = found
    if ready:
        runner = CaseRunner([case for case, *_ in ready.values()])
        for name, found in track(tuple(ready.items()), "goldens"):
            verdicts[name] = check_one(runner, found, thresholds, embed, explain=explain)
    return [verdicts[name] for name in names]


def _prepare(
    library: GoldenLibrary, name: str, overrides: Sequence[str], more: Sequence[str]
) -> RecordedCase | Checked:
    """Return what a case needs to run, or a verdict if nothing has to run.

    ``overrides``: those of ``cases.json``; ``more``: those of this check, after them.
    """
    if not library.has(name):
        message = "has no golden: turbo-lab golden record"
        return Checked(CaseVerdict(name, Verdict.UNCOVERED, None, message))
    golden = library.read(name)
    material = library.material(golden)
    if tuple(overrides) != golden.overrides:
        message = f"cases.json says something else than was recorded; {if_meant(name)}"
        return Checked(CaseVerdict(name, Verdict.UNCOVERED, None, message))
    case = resolve_case(name, (*overrides, *more))
    choice = choose(golden, case.sweep.fingerprint.keys, today())
    if choice.tier is None:
        verdict = CaseVerdict(
            name,
            Verdict.UNCOVERED,
            None,
            choice.reason or "",
            fingerprint_difference=choice.differs,
        )
        return Checked(
            verdict, material.tensors["pixels"], fingerprints=_fingerprints(golden, case)
        )
    return RecordedCase(case, golden, material)


def check_one(
    runner: CaseRunner,
    one: RecordedCase,
    thresholds: Thresholds,
    embed: Embed | None,
    explain: bool,
) -> Checked:
    """Run one case and judge it; any error that it raises becomes its verdict."""
    case, golden, stored = one
    expected, fingerprints = stored.tensors["pixels"], _fingerprints(golden, case)
    doing = "generated"
    try:
        seen = runner.run(case)
        doing = "judged"
        verdict = judge(golden, stored, seen, thresholds, today=today(), embed=embed)
        checked = Checked(verdict, expected, seen.pixels(), fingerprints=fingerprints)
        return explained(runner, one, checked) if explain else checked
    except NonFiniteError as error:
        tier = choose(golden, case.sweep.fingerprint.keys, today()).tier
        verdict = CaseVerdict(golden.name, Verdict.REGRESSION, tier, str(error))
        return Checked(verdict, expected, fingerprints=fingerprints)
    except Exception as error:  # noqa: BLE001 - a new library may raise anything; the rest goes on
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        verdict = CaseVerdict(golden.name, Verdict.ERROR, None, f"could not be {doing}: {text}")
        return Checked(verdict, expected, fingerprints=fingerprints)


def explained(runner: CaseRunner, one: RecordedCase, checked: Checked) -> Checked:
    """Add the causes: run the case once more, each stage on the golden's tensors."""
    case, golden, material = one
    if checked.verdict.identical:
        return checked
    kept = {stage: values.shape for stage, values in material.tensors.items()}
    seen = runner.run(case, _substitute(material))
    own = tuple(differences(golden.stages, material.tensors, seen.stages))
    fed = {value.stage for value in seen.stages if kept.get(value.stage) == value.values.shape}
    return replace(checked, own=own, causes=tuple(causes(own, fed)))


def _fingerprints(golden: Golden, case: Case) -> dict[str, Keys]:
    return {"golden": golden.fingerprint.keys, "here": case.sweep.fingerprint.keys}


def _substitute(material: StoredTensors) -> Substitute:
    """Feeds each stage the golden's tensor of the stage before it, where it was kept."""

    def substitute(stage, tensor):  # type: ignore[no-untyped-def]
        kept = material.tensors.get(stage)
        if kept is None or kept.shape != tuple(tensor.shape):
            return tensor
        return tensor.new_tensor(np.array(kept)).to(tensor.dtype)

    return substitute


def record(
    library: GoldenLibrary,
    cases: Overrides,
    thresholds: Thresholds,
    processes: int,
    acceptance: Acceptance,
    replace_old: bool = False,
) -> list[Golden]:
    """Record goldens of ``cases`` if ``processes`` fresh processes agree with this one.

    ``replace_old``: move the goldens that are there. Raises :class:`JudgementError` for
    a case that is not reproducible, before anything is written.
    """
    resolved = [resolve_case(name, overrides) for name, overrides in cases.items()]
    _refuse_twins(library, resolved)
    seen = _observe(resolved, cases, processes)
    written = []
    for case in resolved:
        old = library.read(case.name) if library.has(case.name) else None
        drawn = seen[case.name]
        content = GoldenContent.anchor(
            old,
            name=case.name,
            overrides=tuple(cases[case.name]),
            cell_id=case.cell.cell_id,
            recipe=case.cell.recipe,
            prompts=case.batch.layout.prompts,
            seeds=case.batch.layout.seeds,
            fingerprint=drawn.fingerprint,
            stages=drawn.marks,
            processes=processes,
            acceptance=acceptance,
            thresholds=thresholds,
        )
        written.append(library.write(content, ordered_by_worth(drawn.stages), replace_old))
    known = library.cases() if library.has_cases() else {}
    library.write_cases(known | {name: tuple(o) for name, o in cases.items()})
    return written


def _refuse_twins(library: GoldenLibrary, resolved: Sequence[Case]) -> None:
    """Which of two goldens of one cell would hold?"""
    known = library.cases() if library.has_cases() else {}
    names = {library.read(name).cell_id: name for name in known if library.has(name)}
    for case in resolved:
        other = names.setdefault(case.cell.cell_id, case.name)
        if other != case.name:
            raise InputError(
                f"golden {case.name}: {other} is of the same cell; one golden is enough"
            )


def observe_reproducible(cases: Overrides, processes: int) -> dict[str, Observation]:
    """Run cases here; raises :class:`JudgementError` where a fresh process gives other bits."""
    resolved = [resolve_case(name, overrides) for name, overrides in cases.items()]
    return _observe(resolved, cases, processes)


def _observe(resolved: Sequence[Case], cases: Overrides, processes: int) -> dict[str, Observation]:
    runner = CaseRunner(resolved)
    seen = {case.name: runner.run(case) for case in resolved}
    for _ in track(range(processes), "fresh processes"):
        _compare_fresh(seen, stages_in_fresh_process(cases))
    return seen


def _compare_fresh(seen: Mapping[str, Observation], fresh: Mapping[str, Stages]) -> None:
    for name, observation in seen.items():
        for here, value in zip(observation.marks, fresh[name], strict=True):
            if here != mark(value):
                raise JudgementError(
                    f"golden {name}: is not reproducible here: a fresh process differs first at "
                    f"{value.stage}; nothing was recorded. See docs/determinism.md"
                )


def who() -> str:
    """Return who accepts: git's user name, else the login name."""
    if shutil.which("git"):
        done = subprocess.run(
            ["git", "config", "user.name"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return getpass.getuser()
