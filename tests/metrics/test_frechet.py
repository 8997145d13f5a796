"""Fréchet distance: the vectors with exact answers, the oracles and the interval."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_lab.errors import InputError
from turbo_lab.metrics.frechet import (
    _subsets,
    _weights_within,
    bootstrap_interval,
    difference_interval,
    frechet_distance,
    frechet_distance_of_moments,
    frechet_infinity,
    frechet_score,
)
from turbo_lab.metrics.reference import Reference, build_reference


def reference_of(mean: object, covariance: object) -> Reference:
    return Reference(np.asarray(mean, float), np.asarray(covariance, float), 1000, "e", "r", "d")


def unit_reference(d: int) -> Reference:
    return reference_of(np.zeros(d), np.eye(d))


def test_vector_1_two_matrices_that_do_not_commute() -> None:
    reference = reference_of([5, 7], [[3, 2], [2, 8]])
    value = frechet_distance_of_moments(np.array([2.0, 3.0]), np.diag([1.0, 4.0]), reference)
    assert value == pytest.approx(41 - 2 * math.sqrt(35 + 2 * math.sqrt(80)), rel=1e-12)
    assert value == pytest.approx(26.455097962516, rel=1e-12)


def test_vector_2_diagonal() -> None:
    reference = reference_of(np.full(4, 0.5), np.diag([4.0, 1.0, 9.0, 25.0]))
    value = frechet_distance_of_moments(np.zeros(4), np.diag([1.0, 4.0, 9.0, 16.0]), reference)
    assert value == pytest.approx(4.0, rel=1e-12)


def test_vector_3_on_samples_shift_and_scale_are_exact() -> None:
    x = np.random.default_rng(0).normal(1.0, 2.0, (300, 7))
    reference = build_reference(x, "x", "e")
    shift = np.arange(7) / 3
    assert frechet_distance(x + shift, reference) == pytest.approx(float(shift @ shift), rel=1e-10)
    spread = float(np.trace(np.cov(x, rowvar=False)) + np.square(x.mean(0)).sum())
    assert frechet_distance(1.7 * x, reference) == pytest.approx(0.49 * spread, rel=1e-10)


@pytest.mark.parametrize("d,n,expected,draws", [(16, 500, 0.336, 60), (64, 4000, 0.552, 8)])
def test_vector_4_the_null_bias_law(d: int, n: int, expected: float, draws: int) -> None:
    """sigma^2 d (d + 5) / 4 (1/n1 + 1/n2): two samples of one normal, averaged over draws."""
    generator = np.random.default_rng(5)
    values = [
        frechet_distance(
            generator.normal(size=(n, d)), build_reference(generator.normal(size=(n, d)), "r", "e")
        )
        for _ in range(draws)
    ]
    assert d * (d + 5) / 4 * (2 / n) == pytest.approx(expected, rel=2e-3)
    assert np.mean(values) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("n", [2, 5, 39, 40, 41, 200])
def test_vector_5_low_rank_equals_eigvals_and_scipy(n: int) -> None:
    generator = np.random.default_rng(n)
    mix = generator.normal(size=(40, 40))
    reference = build_reference(generator.normal(size=(400, 40)) @ mix, "r", "e")
    x = generator.normal(0.3, 1.1, (n, 40)) @ mix
    covariance = np.cov(x, rowvar=False)
    base = np.square(x.mean(0) - reference.mean).sum() + np.trace(covariance) + reference.trace
    roots = np.linalg.eigvals(covariance @ reference.covariance)
    by_eigvals = base - 2 * np.sqrt(np.clip(roots.real, 0, None)).sum()
    assert frechet_distance(x, reference) == pytest.approx(by_eigvals, rel=1e-7)
    if n > 40:  # sqrtm of a singular product is not accurate
        root = scipy.linalg.sqrtm(covariance @ reference.covariance).real
        assert frechet_distance(x, reference) == pytest.approx(base - 2 * np.trace(root), rel=1e-7)


def test_vector_11_equals_torchmetrics_with_a_module_of_ours() -> None:
    """The result there is cast to float32: 1e-5."""
    fid = pytest.importorskip("torchmetrics.image.fid")

    class Features(torch.nn.Module):
        num_features = 9

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).double()

    generator = np.random.default_rng(6)
    real, fake = generator.normal(size=(120, 9)), generator.normal(0.4, 1.3, (80, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = fid.FrechetInceptionDistance(feature=Features(), normalize=True)
        oracle.set_dtype(torch.float64)
        oracle.update(torch.from_numpy(real).view(120, 9, 1, 1), real=True)
        oracle.update(torch.from_numpy(fake).view(80, 9, 1, 1), real=False)
    ours = frechet_distance(fake, build_reference(real, "r", "e"))
    assert ours == pytest.approx(float(oracle.compute()), rel=1e-5)


def test_vector_11_equals_torch_fidelity() -> None:
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    generator = np.random.default_rng(7)
    real, fake = generator.normal(size=(150, 8)), generator.normal(0.2, 0.9, (90, 8))
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (fake, real)]
    oracle = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    ours = frechet_distance(fake, build_reference(real, "r", "e"))
    assert ours == pytest.approx(float(next(iter(oracle.values()))), rel=1e-7)


def test_vector_11_one_random_projection_in_all_three() -> None:
    """Images in: each library runs, or is given, the same features of the same pixels."""
    fid = pytest.importorskip("torchmetrics.image.fid")
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    generator = np.random.default_rng(11)
    projection = torch.from_numpy(generator.normal(size=(3 * 8 * 8, 10)))

    class Projection(torch.nn.Module):
        num_features = 10

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).double() / 255 @ projection

    real, fake = (
        torch.from_numpy(generator.integers(low, 256, (90, 3, 8, 8), dtype=np.uint8))
        for low in (0, 60)
    )
    features = Projection()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = fid.FrechetInceptionDistance(feature=Projection(), normalize=False)
        oracle.set_dtype(torch.float64)
        oracle.update(real, real=True)
        oracle.update(fake, real=False)
    statistics = [metric_fid.fid_features_to_statistics(features(x)) for x in (fake, real)]
    second = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    reference = build_reference(features(real).numpy(), "r", "e")
    ours = frechet_distance(features(fake).numpy(), reference)
    assert ours == pytest.approx(float(oracle.compute()), rel=1e-5)
    assert ours == pytest.approx(float(next(iter(second.values()))), rel=1e-7)


def test_lower_is_better_and_zero_is_reached() -> None:
    x = np.random.default_rng(8).normal(size=(100, 5))
    reference = build_reference(x, "x", "e")
    assert 0 <= frechet_distance(x, reference) < 1e-10
    values = [frechet_distance(x + step, reference) for step in (0.1, 0.3, 1.0)]
    assert values == sorted(values)


def test_a_large_mean_does_not_cancel() -> None:
    """Raw second moments lose 16 digits here."""
    x = np.random.default_rng(9).normal(size=(200, 4))
    near, far = build_reference(x, "r", "e"), build_reference(x + 1e7, "r", "e")
    y = 1.2 * x
    assert frechet_distance(y + 1e7, far) == pytest.approx(frechet_distance(y, near), rel=1e-6)
    assert bootstrap_interval(y + 1e7, far) == pytest.approx(bootstrap_interval(y, near), rel=1e-5)


def test_order_and_batches_do_not_matter() -> None:
    x = np.random.default_rng(10).normal(size=(64, 6))
    reference = unit_reference(6)
    assert frechet_distance(x[::-1], reference) == pytest.approx(
        frechet_distance(x, reference), rel=1e-12
    )


def test_fewer_samples_than_features_is_noted_and_has_no_interval() -> None:
    score = frechet_score(np.random.default_rng(0).normal(size=(10, 30)), unit_reference(30))
    assert score.value is not None and score.ci95 is None
    assert score.note is not None and "n=10 is fewer than the 30 features" in score.note


def test_an_interval_that_leaves_its_value_out_is_withheld() -> None:
    """One image per prompt, and a reference of the same prompts: there is no bias to take off."""
    draws = np.random.default_rng(3)
    x = draws.normal(size=(128, 64))
    reference = build_reference(
        np.repeat(x, 4, axis=0) + 0.1 * draws.normal(size=(512, 64)), "r", "e"
    )
    interval, value = bootstrap_interval(x, reference), frechet_distance(x, reference)
    assert interval is not None and interval[1] < value
    score = frechet_score(x, reference)
    assert score.value == value and score.ci95 is None
    assert score.note == (
        "no interval: the bias at this n exceeds the spread; generate more images per prompt"
    )


def test_a_weighted_resample_is_the_distance_of_the_resampled_rows() -> None:
    """The short cut against the plain way."""
    generator = np.random.default_rng(11)
    x = generator.normal(size=(30, 4)) * 1.5
    reference = unit_reference(4)
    got = bootstrap_interval(x, reference, None, seed=1, resamples=50)
    draw = np.random.default_rng(1)
    values = [frechet_distance(x[draw.integers(0, 30, 30)], reference) for _ in range(50)]
    low, high = np.quantile(values, [0.025, 0.975])
    value = frechet_distance(x, reference)
    assert got == pytest.approx((max(0, 2 * value - high), max(0, 2 * value - low)), rel=1e-9)


@pytest.mark.parametrize("counts", [(3, 3, 3), (2, 5, 3)])
def test_draws_within_prompts_keep_each_prompts_weight(counts: tuple[int, ...]) -> None:
    index = np.repeat(np.arange(3), counts)[::-1].copy()
    draws = np.random.default_rng(0)
    weights = np.stack([_weights_within(draws, index, np.array(counts)) for _ in range(4000)])
    for prompt, k in enumerate(counts):
        mine = weights[:, index == prompt]
        assert mine.sum(axis=1) == pytest.approx(k)
        assert mine.mean(axis=0) == pytest.approx(1, abs=0.1)
        # of the mean of 0, 1, ..., k - 1: the unbiased estimate s^2 / k
        means = mine @ np.arange(k) / k
        assert means.var() == pytest.approx(np.arange(k).var(ddof=1) / k, rel=0.1)


def test_the_interval_covers_at_infinite_n() -> None:
    """d = 8, n = 200, true distance 8 x (1.2 - 1)^2 + 0.32 = 0.64; small version of the study."""
    generator, d, n = np.random.default_rng(12), 8, 200
    truth = d * 0.2**2 + d * 0.2**2
    reference, hits = unit_reference(d), 0
    for draw in range(60):
        x = generator.normal(0.2, 1.2, (n, d))
        interval = bootstrap_interval(x, reference, seed=draw, resamples=120)
        assert interval is not None
        hits += interval[0] <= truth <= interval[1]
    assert hits >= 53  # 88% of 60, two standard errors below 95%


def test_the_difference_of_pairs_sees_what_two_intervals_do_not() -> None:
    """Same noise on both sides, a small shift on one: the paired interval is far from zero."""
    generator = np.random.default_rng(13)
    x = generator.normal(0.2, 1.2, (150, 6))
    reference, worse = unit_reference(6), x + 0.03
    alone, other = bootstrap_interval(x, reference), bootstrap_interval(worse, reference)
    assert alone is not None and other is not None and alone[1] > other[0]
    interval = difference_interval(worse, x, reference)
    value = frechet_distance(worse, reference) - frechet_distance(x, reference)
    assert interval is not None and 0 < interval[0] < value < interval[1]
    assert difference_interval(x, worse, reference) == pytest.approx((-interval[1], -interval[0]))
    assert difference_interval(x, x, reference) == (0.0, 0.0)
    assert difference_interval(x[:5], x[:5], reference) is None
    with pytest.raises(ValueError, match="compare equal N"):
        difference_interval(x[:50], x, reference)
    with pytest.raises(ValueError, match="2 labels for 150 rows"):
        difference_interval(worse, x, reference, clusters="ab")


@pytest.mark.parametrize(
    "bad,message",
    [
        (np.zeros(12), "must be"),
        (np.full((5, 3), np.nan), "not finite"),
        (np.zeros((5, 4)), "3 features, but the images have 4"),
        (np.zeros((1, 3)), "at least 2"),
    ],
)
def test_bad_features_are_refused(bad: np.ndarray, message: str) -> None:
    with pytest.raises((InputError, ValueError), match=message):
        frechet_distance(bad, unit_reference(3))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), d=st.integers(1, 12))
def test_symmetric_and_never_negative(seed: int, n: int, d: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(n, d)), generator.normal(0.5, 2, (n, d))
    forward = frechet_distance(x, build_reference(y, "y", "e"))
    backward = frechet_distance(y, build_reference(x, "x", "e"))
    assert forward >= 0
    assert forward == pytest.approx(backward, rel=1e-6, abs=1e-6)


def test_infinity_recovers_a_known_distance() -> None:
    """N(0, I) in 8 dimensions against a reference of shift 0.2: 0.32, biased up at any N."""
    draws = np.random.default_rng(0)
    reference = build_reference(draws.standard_normal((200_000, 8)) + 0.2, "r", "e")
    scores = [frechet_infinity(draws.standard_normal((400, 8)), reference) for _ in range(40)]
    extrapolated = np.mean([score.value for score in scores])
    plain = np.mean(
        [frechet_distance(draws.standard_normal((400, 8)), reference) for _ in range(40)]
    )
    assert abs(extrapolated - 0.32) < 0.05
    assert plain - 0.32 > 1.5 * abs(extrapolated - 0.32)


def test_infinity_is_of_these_prompts() -> None:
    """A reference of the same prompts: rows at random take off a bias that is not there."""
    draws, d, prompts, each = np.random.default_rng(2), 16, 64, 8
    means = draws.normal(size=(prompts, d))
    reference = reference_of(
        means.mean(0), np.cov(means, rowvar=False, bias=True) + 0.05 * np.eye(d)
    )
    truth = d * 0.1**2
    clusters = [i % prompts for i in range(prompts * each)]
    found, by_rows, inside = [], [], 0
    for seed in range(12):
        x = np.tile(means, (each, 1)) + 0.1 + math.sqrt(0.05) * draws.normal(size=(512, d))
        score = frechet_infinity(x, reference, clusters, seed)
        assert score.value is not None and score.ci95 is not None
        assert score.note == "extrapolated to infinitely many images of these prompts"
        inside += score.ci95[0] <= truth <= score.ci95[1]
        found.append(score.value - truth)
        by_rows.append((frechet_infinity(x, reference, None, seed).value or math.nan) - truth)
    assert abs(np.mean(found)) < 0.01 and inside >= 10
    assert np.mean(by_rows) < -0.1


def test_subsets_hold_equally_many_of_each_prompt() -> None:
    index = np.array([0, 1, 2] * 6 + [0])
    drawn = list(_subsets(np.random.default_rng(0), 19, 6, list(index), 15))
    sizes = sorted({len(rows) for rows in drawn})
    assert sizes == [6, 9, 12, 15, 18]
    for rows in drawn:
        assert len(set(rows.tolist())) == len(rows)
        assert set(np.bincount(index[rows]).tolist()) == {len(rows) // 3}


def test_infinity_needs_three_sizes() -> None:
    rows = np.random.default_rng(1).standard_normal((80, 8))
    score = frechet_infinity(rows, unit_reference(8), [i // 2 for i in range(80)])
    assert score.value is None and score.note == "unscored: a line needs 3 sizes; raise num_images"


def test_infinity_needs_four_rows_a_feature() -> None:
    rows = np.random.default_rng(1).standard_normal((31, 8))
    score = frechet_infinity(rows, build_reference(rows, "r", "e"))
    assert score.value is None and "unscored" in (score.note or "")
