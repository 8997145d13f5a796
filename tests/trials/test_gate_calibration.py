"""The gate against itself on made-up pools, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from turbo_lab.errors import InputError
from turbo_lab.policy import QualityRule
from turbo_lab.trials.gate_calibration import calibrate_gate


def pool(spread: float, seeds: int = 6) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    prompts = draws.normal(0.8, 0.1, (64, 1))
    return {"clip_score": prompts + spread * draws.standard_normal((64, seeds))}


def test_equal_pipelines_seldom_fail_and_the_margin_holds() -> None:
    found = calibrate_gate(
        pool(0.02), {"clip_score": QualityRule(0.02)}, {"clip_score": "higher"}, resamples=100
    )
    assert found.false_alarms <= 2
    assert found.rate_ci95[0] <= 0.05
    (row,) = found.metrics
    assert row.holds and row.passes >= 0.95


def test_a_margin_below_the_noise_is_named_with_the_smallest_that_holds() -> None:
    rules, directions = {"clip_score": QualityRule(0.005)}, {"clip_score": "higher"}
    found = calibrate_gate(pool(0.1), rules, directions, resamples=60)  # type: ignore[arg-type]
    (row,) = found.metrics
    assert not row.holds and row.smallest_margin > 0.01
    wider = {"clip_score": QualityRule(row.smallest_margin)}
    again = calibrate_gate(pool(0.1), wider, directions, resamples=60)  # type: ignore[arg-type]
    assert again.metrics[0].holds


def test_too_few_seeds_are_refused() -> None:
    with pytest.raises(InputError, match="1 seeds a prompt"):
        calibrate_gate(
            pool(0.1, 1), {"clip_score": QualityRule(0.1)}, {"clip_score": "higher"}, resamples=20
        )
