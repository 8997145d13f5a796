"""KID and CMMD against values by hand, populations, a naive loop and torchmetrics."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_lab.metrics.kernel import (
    cmmd,
    gaussian_kernel,
    jackknife_interval,
    kid,
    mmd2,
    polynomial_kernel,
)


def test_kid_by_hand() -> None:
    assert kid(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(9.5)


def test_biased_cmmd_by_hand() -> None:
    value = cmmd(np.array([[0.0], [10.0]]), np.array([[10.0], [20.0]]), biased=True)
    assert value == pytest.approx(432.3323583817)


def test_kid_of_isotropic_gaussians() -> None:
    """d = 8, shift 0.5 in every coordinate: 1.1171875 in the population."""
    draws = np.random.default_rng(0)
    values = [
        kid(draws.standard_normal((1500, 8)), draws.standard_normal((1500, 8)) + 0.5)
        for _ in range(6)
    ]
    assert np.mean(values) == pytest.approx(1.1171875, rel=0.08)


def test_kid_of_correlated_gaussians() -> None:
    draws = np.random.default_rng(1)
    values = []
    for _ in range(6):
        first = draws.multivariate_normal([0.5, -0.2], np.diag([1.0, 0.5]), 1500)
        second = draws.multivariate_normal([0.1, 0.4], [[1.0, 0.3], [0.3, 0.8]], 1500)
        values.append(kid(first, second))
    assert np.mean(values) == pytest.approx(1.879607, rel=0.12)


def test_cmmd_population() -> None:
    """sigma 10, d = 16, variance 1 against 1.44, shift 0.3: 12.646280803856."""
    draws = np.random.default_rng(2)
    values = [
        cmmd(draws.standard_normal((1500, 16)), 1.2 * draws.standard_normal((1500, 16)) + 0.3)
        for _ in range(4)
    ]
    assert np.mean(values) == pytest.approx(12.646280803856, rel=0.05)


@settings(max_examples=25)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(1, 4), st.integers(0, 2**31))
def test_all_pairs_are_what_a_loop_gives(n: int, m: int, d: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    a, b = draws.standard_normal((n, d)), draws.standard_normal((m, d))
    for kernel in (polynomial_kernel, gaussian_kernel):

        def one(x: np.ndarray, y: np.ndarray, k=kernel) -> float:  # type: ignore[no-untyped-def]
            return float(k(x[None], y[None])[0, 0])

        own = [one(x, y) for x, y in itertools.permutations(a, 2)]
        other = [one(x, y) for x, y in itertools.permutations(b, 2)]
        cross = [one(x, y) for x, y in itertools.product(a, b)]
        expected = np.mean(own) + np.mean(other) - 2 * np.mean(cross)
        assert mmd2(a, b, kernel) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_same_set_is_zero_on_average_and_the_biased_form_is_not() -> None:
    draws = np.random.default_rng(3)
    pairs = [(draws.standard_normal((60, 4)), draws.standard_normal((60, 4))) for _ in range(60)]
    unbiased = np.array([cmmd(a, b) for a, b in pairs])
    assert abs(unbiased.mean()) < 3 * unbiased.std() / math.sqrt(len(pairs))
    biased = np.array([cmmd(a, b, biased=True) for a, b in pairs])
    assert biased.mean() > 10 * abs(unbiased.mean())


def test_the_same_kid_as_torchmetrics_with_one_subset_of_all() -> None:
    import torch
    from torchmetrics.image.kid import poly_mmd

    draws = np.random.default_rng(4)
    a, b = draws.standard_normal((40, 6)), draws.standard_normal((40, 6)) + 0.2
    expected = float(poly_mmd(torch.from_numpy(a), torch.from_numpy(b)))
    assert kid(a, b) == pytest.approx(expected, rel=1e-10)


def test_the_jackknife_covers() -> None:
    draws, covered = np.random.default_rng(5), 0
    reference = draws.standard_normal((400, 3))
    truth = np.mean([kid(draws.standard_normal((2000, 3)) + 0.3, reference) for _ in range(5)])
    for _ in range(120):
        # Clusters of two rows that share a part, as one prompt's images do.
        shared = np.repeat(draws.standard_normal((40, 3)), 2, axis=0)
        rows = (shared + draws.standard_normal((80, 3))) / math.sqrt(2) + 0.3
        low, high = jackknife_interval(
            rows, reference, polynomial_kernel, [i // 2 for i in range(80)]
        ) or (math.nan, math.nan)
        covered += low <= truth <= high
    assert covered >= 105  # 95% of 120 is 114; 105 has a probability of 0.02 from below


def test_few_clusters_have_no_interval_and_bad_rows_are_refused() -> None:
    rows = np.random.default_rng(6).standard_normal((7, 2))
    assert jackknife_interval(rows, rows, polynomial_kernel, list(range(7))) is None
    with pytest.raises(ValueError, match="at least 2"):
        kid(rows[:1], rows)
    with pytest.raises(ValueError, match="not finite"):
        kid(np.full((3, 2), np.nan), rows)
    with pytest.raises(ValueError, match="must be"):
        kid(rows, rows[:, :1])
