"""Goldens of another machine, anchored on this one for the length of a trial.

A trial asks what a fault or a harmless change does to a case. Compared with bits
that another CPU or another torch made, every case differs; so a case whose golden
was recorded in another environment is compared with its own run here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from turbo_lab.golden.document import Accepted
from turbo_lab.golden.library import StoredTensors
from turbo_lab.golden.run_case import CaseRunner, RecordedCase
from turbo_lab.golden.tiers import choose_tier


def anchored(cases: Sequence[RecordedCase], runner: CaseRunner) -> list[RecordedCase]:
    """Return the cases, those of elsewhere with their run here as the golden; writes nothing."""
    return [one if _is_of_here(one) else _anchor_here(one, runner) for one in cases]


def _is_of_here(one: RecordedCase) -> bool:
    case, golden, _ = one
    here = case.sweep.fingerprint.keys
    return choose_tier(golden.fingerprint.keys, here).tier == "T0"


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
