"""Steps and drifts: known ones, none in noise, and the promised rate of false alarms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from turbo_lab.analysis.change_points import (
    SHORTEST,
    _sizes,
    _step_test,
    find_changes,
    simulate_alarms,
)

GENERATOR = np.random.default_rng(7)
NOISE = GENERATOR.standard_normal(60)


def test_a_step_is_found_at_its_place() -> None:
    values = NOISE.copy()
    values[40:] += 4
    found = find_changes(values.tolist(), 0.01)
    assert [one.index for one in found.steps] == [40]
    assert found.steps[0].before == pytest.approx(float(np.median(values[:40])))
    assert found.steps[0].after == pytest.approx(float(np.median(values[40:])))
    assert found.steps[0].p_value < 0.001 and not found.drifts


def test_several_steps_are_found_in_order() -> None:
    values = np.concatenate([NOISE, NOISE + 5, NOISE - 5])
    found = find_changes(values.tolist(), 0.01)
    assert [one.index for one in found.steps] == [60, 120]
    assert found.steps[0].after == pytest.approx(found.steps[1].before)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_drift_is_not_taken_for_a_step(sign: int) -> None:
    values = NOISE + sign * 0.08 * np.arange(60)
    found = find_changes(values.tolist(), 0.01)
    assert not found.steps
    (drift,) = found.drifts
    assert (drift.start, drift.end) == (0, 60)
    low, high = drift.change_ci95
    assert low < sign * 0.08 * 59 < high
    assert low <= drift.last - drift.first <= high


def test_one_outlier_is_not_a_change() -> None:
    values = NOISE.copy()
    values[30] = 1e6
    assert find_changes(values.tolist(), 0.01) == find_changes(NOISE.tolist(), 0.01)


@given(st.floats(-1e6, 1e6), st.integers(0, 50))
def test_equal_values_never_change(value: float, num: int) -> None:
    found = find_changes([value] * num, 0.5)
    assert not found.steps and not found.drifts


@given(st.lists(st.integers(-3, 3), max_size=40))
def test_a_change_lies_inside_the_series(values: list[int]) -> None:
    found = find_changes([float(one) for one in values], 0.5)
    edges = [0, *(one.index for one in found.steps), len(values)]
    assert all(after - before >= SHORTEST for before, after in itertools.pairwise(edges)) or (
        not found.steps
    )


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        find_changes([1.0, math.nan], 0.05)


def test_the_statistic_is_that_of_wilcoxon() -> None:
    """Where no window is wider, it is Wilcoxon's rank sum; elsewhere it is no smaller."""
    ranks = scipy_stats.rankdata(NOISE)
    sizes = _sizes(ranks[None, :])[0]
    for at in (3, 20, 30, 57):
        expected = abs(scipy_stats.ranksums(NOISE[:at], NOISE[at:]).statistic)
        windows = [
            abs(ranks[at : at + width].sum() - ranks[at - width : at].sum())
            / math.sqrt(width * 60 * 61 / 6)
            for width in (3, 6, 12, 24)
            if width <= at <= 60 - width
        ]
        assert sizes[at - SHORTEST] == pytest.approx(max(expected, *windows))


def test_the_p_value_is_that_of_all_orders() -> None:
    values = np.array([1.0, 2, 3, 7, 8, 9])
    orders = np.array(list(itertools.permutations(range(1, 7))), dtype=np.float64)
    largest = _sizes(orders).max(axis=1)
    expected = float((largest >= _sizes(np.arange(1.0, 7)[None]).max() - 1e-9).mean())
    assert _step_test(values)[0] == pytest.approx(expected, abs=0.01)
    assert expected == pytest.approx(2 / math.comb(6, 3))


def test_a_step_that_was_taken_back_is_two_steps() -> None:
    values = NOISE.copy()
    values[20:40] += 4
    assert [one.index for one in find_changes(values.tolist(), 0.01).steps] == [20, 40]


@pytest.mark.parametrize("length", [10, 40])
def test_false_alarms_are_as_rare_as_promised(length: int) -> None:
    found = simulate_alarms(length, 0.05, 400)
    assert found.ci95 is not None and found.ci95[0] <= 0.05


def test_a_step_of_three_deviations_is_nearly_always_seen() -> None:
    assert simulate_alarms(40, 0.05, 100, step=3).rate > 0.95


def test_a_simulation_can_be_repeated() -> None:
    assert simulate_alarms(20, 0.2, 50) == simulate_alarms(20, 0.2, 50)
    assert simulate_alarms(20, 0.2, 50) != simulate_alarms(20, 0.2, 50, seed=1)
