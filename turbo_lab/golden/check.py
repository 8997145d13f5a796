"""Check goldens: draw their cases again and judge each.

Owns the order of a check and its rule on failures: a case that cannot be run or judged is an
``error``, and the others are still checked.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from turbo_lab.documents.golden import StageDifference
from turbo_lab.environment import Fingerprint, Keys
from turbo_lab.errors import (
    MissingFilesError,
    NonFiniteError,
    OverrideError,
    StoreError,
    TurboLabError,
)
from turbo_lab.golden.document import Golden, current_day
from turbo_lab.golden.embedding import image_embedding
from turbo_lab.golden.judgement import CaseVerdict, Judge, accept_hint, choose_case_tier
from turbo_lab.golden.library import GoldenLibrary, StoredTensors, duplicate_message
from turbo_lab.golden.run_case import (
    SWEEP_DRAWING,
    Case,
    CaseRunner,
    Drawing,
    RecordedCase,
    ResolveCase,
    Substitute,
    resolve_case,
)
from turbo_lab.golden.stages import Values, causes, differences
from turbo_lab.golden.thresholds import library_thresholds
from turbo_lab.progress import track
from turbo_lab.verdict import Verdict

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CaseCheck:
    """The verdict on one case, with the images and tensors that a report shows."""

    verdict: CaseVerdict
    """The verdict."""
    expected: Values | None = None
    """Images of the golden, (N, H, W, 3) uint8; ``None`` if they cannot be read."""
    actual: Values | None = None
    """Images of this run, (N, H, W, 3) uint8; ``None`` if nothing ran."""
    own: tuple[StageDifference, ...] = ()
    """With ``explain``: the difference of each stage when it is fed the golden's tensors."""
    causes: tuple[str, ...] = ()
    """With ``explain``: stages that differ although all their inputs were the golden's."""
    fingerprints: Mapping[str, Keys] = field(default_factory=dict)
    """Fingerprint keys by ``golden`` and ``here``; empty if one of them is unknown."""
    has_golden: bool = True
    """``False`` if no golden of the case is recorded yet."""
    wall_s: float = 0.0
    """Time that drawing and judging took, in seconds; 0 if nothing ran."""
    fingerprint: Fingerprint | None = None
    """Environment that the case was drawn in; ``None`` if nothing ran."""


def library_judge(library: GoldenLibrary) -> Judge:
    """Return the judge of a library's goldens, as of today."""
    return Judge(library_thresholds(library), current_day(), image_embedding())


def check(
    library: GoldenLibrary,
    names: Sequence[str],
    judge: Judge,
    *,
    explain: bool = False,
    resolve: ResolveCase = resolve_case,
    drawing: Drawing = SWEEP_DRAWING,
) -> list[CaseCheck]:
    """Draw and judge the named cases, one after the other.

    ``resolve`` may change what every case is drawn with, such as its device. A case that is
    broken is an ``error``, not an exception. Raises :class:`OverrideError` from ``resolve``.
    """
    own_words, duplicates = library.cases(), library.duplicates()
    prepared: dict[str, CaseCheck | RecordedCase] = {}
    for name in names:
        try:
            if name in duplicates:
                raise StoreError(duplicate_message(name, duplicates[name]))
            prepared[name] = _prepare(library, name, own_words[name], resolve, today=judge.today)
        except OverrideError:
            raise
        except MissingFilesError as error:
            prepared[name] = _without_run(name, Verdict.UNCOVERED, str(error))
        except TurboLabError as error:
            prepared[name] = _without_run(name, Verdict.ERROR, str(error))
    ready = {name: one for name, one in prepared.items() if isinstance(one, RecordedCase)}
    checks = {name: one for name, one in prepared.items() if isinstance(one, CaseCheck)}
    if ready:
        runner = CaseRunner([one.case for one in ready.values()], drawing)
        for name, recorded in track(tuple(ready.items()), "goldens"):
            began = time.perf_counter()
            checked = check_one(runner, recorded, judge, explain)
            checks[name] = replace(
                checked,
                wall_s=time.perf_counter() - began,
                fingerprint=recorded.case.sweep.fingerprint,
            )
    return [checks[name] for name in names]


def _without_run(name: str, verdict: Verdict, message: str) -> CaseCheck:
    return CaseCheck(CaseVerdict.without_tier(name, verdict, message))


def _prepare(
    library: GoldenLibrary,
    name: str,
    own: Sequence[str],
    resolve: ResolveCase,
    today: datetime.date,
) -> RecordedCase | CaseCheck:
    """Return the case ready to run, or its verdict if there is nothing to run.

    ``own``: the words of the case in ``cases.json``.
    """
    golden = library.read_if_any(name)
    if golden is None:
        message = "has no golden; run turbo-lab golden record"
        return replace(_without_run(name, Verdict.UNCOVERED, message), has_golden=False)
    stored = library.stored_tensors(golden)
    if tuple(own) != golden.overrides:
        message = f"its line in cases.json has changed since it was recorded; {accept_hint(name)}"
        return _without_run(name, Verdict.UNCOVERED, message)
    case = resolve(name, own)
    choice = choose_case_tier(golden, case.sweep.fingerprint.keys, today)
    if choice.tier is None:
        verdict = CaseVerdict.without_tier(
            name, Verdict.UNCOVERED, choice.reason or "", differs=choice.differs
        )
        return CaseCheck(verdict, stored.pixels, fingerprints=_fingerprints(golden, case))
    return RecordedCase(case, golden, stored)


def check_one(runner: CaseRunner, recorded: RecordedCase, judge: Judge, explain: bool) -> CaseCheck:
    """Run one case and judge it; any exception becomes its verdict."""
    case, golden, stored = recorded
    fingerprints = _fingerprints(golden, case)
    step = "generated"
    try:
        seen = runner.run(case)
        step = "judged"
        verdict = judge.judge(golden, stored, seen)
        checked = CaseCheck(verdict, stored.pixels, seen.pixels, fingerprints=fingerprints)
        return explained(runner, recorded, checked) if explain else checked
    except NonFiniteError as error:
        choice = choose_case_tier(golden, case.sweep.fingerprint.keys, judge.today)
        verdict = CaseVerdict(golden.name, Verdict.REGRESSION, choice.tier, str(error))
        return CaseCheck(verdict, stored.pixels, fingerprints=fingerprints)
    except Exception as error:  # noqa: BLE001 - a new library may raise anything; the rest goes on
        message = f"could not be {step}: {_one_line(error)}"
        verdict = CaseVerdict.without_tier(golden.name, Verdict.ERROR, message)
        return CaseCheck(verdict, stored.pixels, fingerprints=fingerprints)


def _one_line(error: Exception) -> str:
    """Return an exception as at most 300 characters, with its class if it is not one of ours."""
    text = str(error) if isinstance(error, TurboLabError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]


def explained(runner: CaseRunner, recorded: RecordedCase, checked: CaseCheck) -> CaseCheck:
    """Add the causes of a difference: run the case again, each stage on the golden's tensors."""
    case, golden, stored = recorded
    if checked.verdict.identical:
        return checked
    shapes = {stage: values.shape for stage, values in stored.tensors.items()}
    seen = runner.run(case, _substitute(stored))
    own = tuple(differences(golden.stages, stored.tensors, seen.stages))
    fed = {value.stage for value in seen.stages if shapes.get(value.stage) == value.values.shape}
    return replace(checked, own=own, causes=tuple(causes(own, fed)))


def _fingerprints(golden: Golden, case: Case) -> dict[str, Keys]:
    return {"golden": golden.fingerprint.keys, "here": case.sweep.fingerprint.keys}


def _substitute(stored: StoredTensors) -> Substitute:
    """Return a function that replaces each stage's tensor by the golden's, if it was kept."""

    def substitute(stage: str, tensor: torch.Tensor) -> torch.Tensor:
        kept = stored.tensors.get(stage)
        if kept is None or kept.shape != tuple(tensor.shape):
            return tensor
        return tensor.new_tensor(np.array(kept)).to(tensor.dtype)

    return substitute
