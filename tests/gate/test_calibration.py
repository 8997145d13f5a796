"""The gate against itself on made-up pools, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from turbo_lab.errors import InputError
from turbo_lab.gate.calibration import MetricPool, calibrate_distance, calibrate_gate
from turbo_lab.gate.policy import QualityRule
from turbo_lab.metrics.reference import build_reference
from turbo_lab.verdict import Direction


def pool(spread: float, seeds: int = 6) -> dict[str, MetricPool]:
    draws = np.random.default_rng(0)
    prompts = draws.normal(0.8, 0.1, (64, 1))
    values = prompts + spread * draws.standard_normal((64, seeds))
    return {"clip_score": MetricPool(values, "higher", "cosine")}


def test_equal_pipelines_seldom_fail_and_the_margin_holds() -> None:
    found = calibrate_gate(pool(0.02), {"clip_score": QualityRule(0.02)}, resamples=100)
    assert found.false_alarms <= 2
    assert found.rate_ci95[0] <= 0.05
    (row,) = found.metrics
    assert row.holds and row.passes >= 0.95
    assert row.power == 1.0  # a loss of 0.04, where the noise of a mean is 0.0035


def test_a_margin_below_the_noise_is_named_with_the_smallest_that_holds() -> None:
    found = calibrate_gate(pool(0.1), {"clip_score": QualityRule(0.005)}, resamples=60)
    (row,) = found.metrics
    assert not row.holds and row.smallest_margin > 0.01
    assert row.power is not None and row.power < 0.2
    wider = {"clip_score": QualityRule(row.smallest_margin)}
    again = calibrate_gate(pool(0.1), wider, resamples=60)
    assert again.metrics[0].holds


def test_power_is_by_hand_what_a_normal_loss_gives() -> None:
    """Noise 0.1 a seed: a mean of 64 differences has 0.0177, and 0.05 is 2.83 of that away."""
    found = calibrate_gate(pool(0.1, 12), {"clip_score": QualityRule(0.05)}, resamples=200)
    assert found.metrics[0].power == pytest.approx(0.80, abs=0.12)


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_a_share_loses_whole_images(direction: Direction) -> None:
    """A hit becomes a miss: a share shifted as a whole would leave [0, 1]."""
    hits = (np.random.default_rng(0).random((128, 6)) < 0.9).astype(float)
    values = hits if direction == "higher" else 1 - hits
    shares = {"r_precision": MetricPool(values, direction, "fraction")}
    found = calibrate_gate(shares, {"r_precision": QualityRule(0.2)}, resamples=60)
    (row,) = found.metrics
    assert row.holds and found.false_alarms == 0
    # 0.4 lost, 0.2 beyond the margin: 3.7 standard errors of the difference.
    assert row.power is not None and row.power > 0.8
    small = calibrate_gate(shares, {"r_precision": QualityRule(0.0)}, resamples=20)
    assert small.metrics[0].power is not None and small.metrics[0].power < 0.3


def test_a_distance_of_equal_pipelines_has_its_smallest_margin() -> None:
    draws = np.random.default_rng(0)
    reference = build_reference(draws.standard_normal((400, 4)), "r", "judge")
    features = draws.standard_normal((40, 6, 4)).astype(np.float32)
    row = calibrate_distance("fd/x", features, reference, 0.001, resamples=30)
    assert not row.holds and 0.1 < row.smallest_margin < 1 and row.power is None
    assert calibrate_distance("fd/x", features, reference, 5.0, resamples=30).passes == 1.0
    with pytest.raises(InputError, match="3 prompts for 4 features"):
        calibrate_distance("fd/x", features[:3], reference, 1.0, resamples=1)


def test_too_few_seeds_are_refused() -> None:
    with pytest.raises(InputError, match="1 seeds per prompt"):
        calibrate_gate(pool(0.1, 1), {"clip_score": QualityRule(0.1)}, resamples=20)
