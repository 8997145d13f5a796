"""Trials on another machine than the goldens': held against a run here, to the bit."""

from __future__ import annotations

import dataclasses

from tests.golden_cases import Loaded
from turbo_lab.environment import Fingerprint
from turbo_lab.golden.judgement import judge
from turbo_lab.golden.lifecycle import today
from turbo_lab.golden.run_case import CaseRunner, RecordedCase
from turbo_lab.golden.stages import mark
from turbo_lab.trials.faults import FAULTS
from turbo_lab.trials.golden_mutation import run_with
from turbo_lab.trials.reanchor import anchored


def made_elsewhere(one: RecordedCase) -> RecordedCase:
    """The same case as another CPU recorded it: other bits, within any numeric threshold."""
    case, golden, material = one
    keys = {**golden.fingerprint.keys, "device_model": "another CPU"}
    stages = tuple(
        dataclasses.replace(stage, sha256="0" * 64) if stage.stage == "vae" else stage
        for stage in golden.stages
    )
    elsewhere = dataclasses.replace(
        golden, fingerprint=Fingerprint(keys, {}), stages=stages, accepted=()
    )
    return RecordedCase(case, elsewhere, material)


def test_goldens_of_here_stay_as_they_are(loaded: Loaded, runner: CaseRunner) -> None:
    assert anchored(loaded, runner) == loaded


def test_a_golden_of_elsewhere_is_anchored_on_a_run_here(
    loaded: Loaded, runner: CaseRunner
) -> None:
    foreign = made_elsewhere(loaded[0])
    case = foreign[0]
    bare = judge(foreign[1], foreign[2], runner.run(case), {}, today(), tier="T0")
    assert bare.verdict == "regression"  # of the CPU, and no fault's doing
    ((_, golden, material),) = anchored([foreign], runner)
    assert judge(golden, material, runner.run(case), {}, today(), tier="T0").verdict == "pass"
    assert [mark(value).sha256 for value in runner.run(case).stages] == [
        stage.sha256 for stage in golden.stages
    ]
    (fault,) = [f for f in FAULTS if f.name == "one weight off by 0.001"]
    seen = run_with(fault, runner, case)
    assert judge(golden, material, seen, {}, today(), tier="T0").verdict == "regression"
