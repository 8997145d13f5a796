"""Harmless changes keep every bit or round, and leave nothing behind."""

from __future__ import annotations

import pytest

from tests.golden_cases import Loaded
from turbo_lab.golden.document import current_day
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.trials.harmless import HARMLESS, Harmless

JUDGE = Judge({}, current_day())


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
    for case, golden, stored in loaded:
        seen = change.run(runner, case)
        verdict = JUDGE.judge(golden, stored, seen, tier="T1")
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
