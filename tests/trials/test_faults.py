"""Every fault is seen, every one is taken out again, and harmless changes stay quiet."""

from __future__ import annotations

import pytest

from tests.golden_cases import Loaded
from turbo_lab.golden.judgement import judge
from turbo_lab.golden.lifecycle import today
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.golden_mutation import run_with
from turbo_lab.trials.harmless import HARMLESS, Harmless

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
    for case, golden, material in fitting:
        seen = run_with(fault, runner, case)
        verdicts.append(judge(golden, material, seen, {}, today()).verdict)
        assert runner.run(case).outcome == golden.outcome
    assert "regression" in verdicts


@pytest.mark.parametrize(
    "change", [c for c in HARMLESS if c.tier == "T0"], ids=lambda change: change.name
)
def test_a_harmless_change_keeps_every_bit(
    change: Harmless, loaded: Loaded, runner: CaseRunner
) -> None:
    for case, golden, _ in loaded:
        assert change.run(runner, case).outcome == golden.outcome


@pytest.mark.parametrize(
    "change", [c for c in HARMLESS if c.tier == "T1"], ids=lambda change: change.name
)
def test_a_numeric_change_moves_a_stage_by_rounding_only(
    change: Harmless, loaded: Loaded, runner: CaseRunner
) -> None:
    for case, golden, material in loaded:
        seen = change.run(runner, case)
        verdict = judge(golden, material, seen, {}, today(), tier="T1")
        assert [stage.stage for stage in verdict.stages] == [m.stage for m in golden.stages]
        worst = max(stage.relative_l2 or 0.0 for stage in verdict.stages[:-1])
        assert worst < 1e-3


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.name)
def test_a_harmless_change_leaves_nothing_behind(
    change: Harmless, loaded: Loaded, runner: CaseRunner
) -> None:
    case, golden, _ = loaded[0]
    change.run(runner, case)
    assert runner.run(case).outcome == golden.outcome
