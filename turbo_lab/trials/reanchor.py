"""Goldens of another environment, replaced by a run in this one for the length of a trial.

A trial measures what a fault or a harmless change does to a case. Compared with the bits of
another CPU or another torch, every case differs. So a case whose golden was recorded in
another environment is compared with a run of the same case here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from turbo_lab.golden.document import Accepted
from turbo_lab.golden.library import StoredTensors
from turbo_lab.golden.run_case import CaseRunner, RecordedCase
from turbo_lab.golden.tiers import choose_tier


def anchored(cases: Sequence[RecordedCase], runner: CaseRunner) -> list[RecordedCase]:
    """Return the cases, with a run here as the golden of each case from elsewhere.

    Nothing is written.
    """
    return [one if _is_from_here(one) else _anchor_here(one, runner) for one in cases]


def _is_from_here(one: RecordedCase) -> bool:
    here = one.case.sweep.fingerprint.keys
    return choose_tier(one.golden.fingerprint.keys, here).tier == "T0"


def _anchor_here(one: RecordedCase, runner: CaseRunner) -> RecordedCase:
    case, golden, _ = one
    seen = runner.run(case)
    anchor = Accepted(
        outcome=seen.outcome,
        keys=dict(seen.fingerprint.keys),
        by="",
        at="",
        reason="this run",
    )
    here = dataclasses.replace(
        golden,
        fingerprint=seen.fingerprint,
        stages=seen.marks,
        accepted=(anchor,),
        known_bad={},
    )
    tensors = {value.stage: value.values for value in seen.stages}
    return RecordedCase(case, here, StoredTensors(tensors))
