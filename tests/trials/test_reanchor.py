"""Trials on another machine than the goldens': held against a run here, to the bit."""

from __future__ import annotations

import dataclasses

from tests.golden_cases import Loaded
from turbo_lab.environment import Fingerprint
from turbo_lab.golden.document import current_day
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.run_case import CaseRunner, RecordedCase
from turbo_lab.golden.stages import mark
from turbo_lab.trials.faults import FAULTS
from turbo_lab.trials.golden_mutation import run_with
from turbo_lab.trials.reanchor import anchored

JUDGE = Judge({}, current_day())


def made_elsewhere(one: RecordedCase) -> RecordedCase:
    """The same case as another CPU recorded it: other bits, within any numeric threshold."""
    case, golden, stored = one
    keys = {**golden.fingerprint.keys, "device_model": "another CPU"}
    stages = tuple(
        dataclasses.replace(stage, sha256="0" * 64) if stage.stage == "vae" else stage
        for stage in golden.stages
    )
    elsewhere = dataclasses.replace(
        golden, fingerprint=Fingerprint(keys, {}), stages=stages, accepted=()
    )
    return RecordedCase(case, elsewhere, stored)


def test_goldens_of_here_stay_as_they_are(loaded: Loaded, runner: CaseRunner) -> None:
    assert anchored(loaded, runner) == loaded


def test_a_golden_of_elsewhere_is_anchored_on_a_run_here(
    loaded: Loaded, runner: CaseRunner
) -> None:
    foreign = made_elsewhere(loaded[0])
    case = foreign.case
    bare = JUDGE.judge(foreign.golden, foreign.stored, runner.run(case), tier="T0")
    assert bare.verdict == "regression"  # of the CPU, and no fault's doing
    ((_, golden, stored),) = anchored([foreign], runner)
    assert JUDGE.judge(golden, stored, runner.run(case), tier="T0").verdict == "pass"
    assert [mark(value).sha256 for value in runner.run(case).stages] == [
        stage.sha256 for stage in golden.stages
    ]
    (fault,) = [f for f in FAULTS if f.name == "one weight off by 0.001"]
    seen = run_with(fault, runner, case)
    assert JUDGE.judge(golden, stored, seen, tier="T0").verdict == "regression"
