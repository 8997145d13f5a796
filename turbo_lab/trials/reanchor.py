"""Goldens of another machine, anchored on this one for the length of a trial.

A trial asks what a fault or a harmless change does to a case. Held against bits
that another CPU or another torch made, everything differs and the answer is
always yes; so a case whose golden does not hold here to the bit by right is
compared with its own run here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from turbo_lab.golden.document import Accepted, Golden
from turbo_lab.golden.library import Material
from turbo_lab.golden.run_case import Case, CaseRunner
from turbo_lab.golden.tiers import choose_tier

Loaded = tuple[Case, Golden, Material]


def anchored(cases: Sequence[Loaded], runner: CaseRunner) -> list[Loaded]:
    """The cases as they are, or with their run here in the golden's place. Writes nothing."""
    return [one if _is_of_here(one) else _anchor_here(one, runner) for one in cases]


def _is_of_here(one: Loaded) -> bool:
    case, golden, _ = one
    here = case.sweep.fingerprint.keys
    return choose_tier(golden.fingerprint.keys, here).tier == "T0"


def _anchor_here(one: Loaded, runner: CaseRunner) -> Loaded:
    case, golden, _ = one
    seen = runner.run(case)
    anchor = Accepted(seen.outcome, dict(seen.fingerprint.keys), "", "", "this run")
    here = dataclasses.replace(
        golden,
        fingerprint=seen.fingerprint,
        stages=seen.marks,
        accepted=(anchor,),
        known_bad={},
    )
    return case, here, Material({value.stage: value.values for value in seen.stages})
