"""Every fault is caught, and leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.golden_cases import Loaded
from turbo_lab.golden.document import current_day
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.golden_mutation import run_with

JUDGE = Judge({}, current_day())
_WITHOUT_LORA = [fault for fault in FAULTS if not fault.name.startswith("lora")]


def test_there_are_enough_faults() -> None:
    assert len(FAULTS) >= 16
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", _WITHOUT_LORA, ids=lambda fault: fault.name)
def test_a_fault_is_caught_and_leaves_nothing_behind(
    fault: Fault, loaded: Loaded, runner: CaseRunner
) -> None:
    fitting = [c for c in loaded if fault.applies(c[0].batch, c[0].cell.negative_prompt)]
    assert fitting, "no case can show it"
    verdicts = []
    for case, golden, stored in fitting:
        seen = run_with(fault, runner, case)
        verdicts.append(JUDGE.judge(golden, stored, seen).verdict)
        assert runner.run(case).outcome == golden.outcome
    assert "regression" in verdicts
