"""Intervals, tests and verdicts: by hand, against scipy, by simulation, by property."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_lab.analysis.stats import (
    MIN_CLUSTERS,
    bootstrap_difference_ci,
    bootstrap_mean_ci,
    bootstrap_ratio_ci,
    cluster_index,
    holm,
    median_ci,
    minimum_detectable_effect,
    needed_n,
    permutation_test,
    proportion_ci,
    proportion_difference_ci,
    t_quantile,
    verdict,
)

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
SAMPLES = st.lists(FINITE, min_size=MIN_CLUSTERS, max_size=40)


# --- intervals


def test_mean_interval_is_close_to_students_for_normal_data() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 60)
    low, high = bootstrap_mean_ci(x) or (0.0, 0.0)
    want = scipy.stats.t.interval(0.95, 59, x.mean(), scipy.stats.sem(x))
    assert (low, high) == pytest.approx(want, abs=0.08)


def test_too_few_give_none_not_a_guess() -> None:
    few = list(range(MIN_CLUSTERS - 1))
    assert bootstrap_mean_ci(few) is None
    assert bootstrap_mean_ci(range(100), clusters=[i % 7 for i in range(100)]) is None
    assert bootstrap_mean_ci([]) is None
    assert bootstrap_ratio_ci(np.ones(5), np.ones(5)) is None
    assert minimum_detectable_effect(1.0, 1) is None


@pytest.mark.parametrize("kind", ["mean", "difference", "ratio"])
def test_equal_seeds_give_equal_intervals_and_others_do_not(kind: str) -> None:
    generator = np.random.default_rng(1)
    x, y = generator.normal(5, 1, 40), generator.normal(5, 1, 40)

    def interval(seed: int) -> object:
        if kind == "mean":
            return bootstrap_mean_ci(x, seed=seed)
        return (bootstrap_difference_ci if kind == "difference" else bootstrap_ratio_ci)(
            x, y, seed=seed
        )

    state = _global_state()  # the global state stays as it was
    assert interval(3) == interval(3) != interval(4)
    np.testing.assert_array_equal(_global_state(), state)


def _global_state() -> np.ndarray:
    return np.random.get_state()[1].copy()  # noqa: NPY002 (what is not to be touched)


@pytest.mark.parametrize(
    "n,draw,at_least", [(8, "normal", 0.92), (30, "normal", 0.92), (60, "exponential", 0.89)]
)
def test_mean_interval_covers(n: int, draw: str, at_least: float) -> None:
    """Small version of the study; skewed data are under-covered, as by any percentile interval.

    300 draws: one standard error is 1.3%.
    """
    generator, hits = np.random.default_rng(2), 0
    for seed in range(300):
        x = generator.normal(size=n) if draw == "normal" else generator.exponential(size=n) - 1
        low, high = bootstrap_mean_ci(x, seed=seed, resamples=500) or (9.0, 9.0)
        hits += low <= 0 <= high
    assert at_least <= hits / 300 <= 0.99


def test_clusters_cover_where_images_taken_as_independent_do_not() -> None:
    """Twelve prompts, eight images each, most of the variance between prompts."""
    generator, hits, naive = np.random.default_rng(3), 0, 0
    labels = np.repeat(np.arange(12), 8).tolist()
    for seed in range(200):
        x = np.repeat(generator.normal(size=12), 8) + generator.normal(0, 0.3, 96)
        for clusters in (labels, None):
            low, high = bootstrap_mean_ci(x, clusters, seed, 300) or (9.0, 9.0)
            hits += clusters is not None and low <= 0 <= high
            naive += clusters is None and low <= 0 <= high
    assert hits / 200 >= 0.91 and naive / 200 <= 0.7


def test_median_interval_is_the_textbooks() -> None:
    """n = 6: the range; n = 100: the 40th and 61st value (Conover, table of the sign test)."""
    assert median_ci(range(6)) == (0.0, 5.0)
    assert median_ci(range(5)) is None
    assert median_ci(range(1, 101)) == (40.0, 61.0)
    low, high = median_ci(range(5000)) or (0.0, 0.0)  # 0.5**5000 underflows
    assert (low, high) == pytest.approx((2499.5 - 69.3, 2499.5 + 69.3), abs=1.5)


def test_proportion_interval_is_wilsons_and_never_a_point() -> None:
    """scipy's Wilson interval for independent tries; t for z, hence wider by a few percent."""
    hits = [1.0] * 90 + [0.0] * 10
    want = scipy.stats.binomtest(90, 100).proportion_ci(method="wilson")
    assert proportion_ci(hits) == pytest.approx((want.low, want.high), abs=3e-3)
    low, high = proportion_ci([0.0] * 16) or (9.0, 9.0)
    assert low == 0.0 and 0.15 < high < 0.25
    assert proportion_ci([1.0] * 16) == pytest.approx((1 - high, 1.0))
    assert proportion_ci([1.0] * 7) is None
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        proportion_ci([2.0] * 9)


def test_proportion_interval_counts_prompts() -> None:
    """Ten equal tries of a prompt tell what one does."""
    hits = [float(i % 3 > 0) for i in range(30)]
    ten = proportion_ci(np.repeat(hits, 10), np.repeat(range(30), 10).tolist())
    assert ten == pytest.approx(proportion_ci(hits), abs=0.01)


@pytest.mark.parametrize("p,n", [(0.95, 30), (0.5, 16), (0.99, 64)])
def test_proportion_interval_covers(p: float, n: int) -> None:
    generator, hits = np.random.default_rng(8), 0
    for _ in range(500):
        low, high = proportion_ci((generator.random(n) < p).astype(float)) or (9.0, 9.0)
        hits += low <= p <= high
    assert hits / 500 >= 0.92


def test_proportion_difference_is_wilsons_of_gains_less_losses() -> None:
    """By hand from scipy's Wilson intervals; t for z makes it wider by a few percent."""
    first, second = np.ones(400), np.ones(400)
    first[:48], second[48:64] = 0.0, 0.0  # 48 lost, 16 gained
    loss, gain = (scipy.stats.binomtest(k, 400).proportion_ci(method="wilson") for k in (48, 16))
    shared = math.sqrt(0.12 * 0.04 / (0.88 * 0.96))
    below, above = (0.04 - gain.low, loss.high - 0.12), (gain.high - 0.04, 0.12 - loss.low)
    low, high = (math.sqrt(a**2 + b**2 + 2 * shared * a * b) for a, b in (below, above))
    found = proportion_difference_ci(first, second)
    assert found == pytest.approx((-0.08 - low, -0.08 + high), abs=1e-3)
    ten = np.repeat(range(400), 10).tolist()
    many = proportion_difference_ci(np.repeat(first, 10), np.repeat(second, 10), ten)
    assert many == pytest.approx(found, abs=1e-3)


def test_proportion_difference_is_never_a_point() -> None:
    """Score test of no loss in n: rejects a loss of 7% from 51 pairs on, 0.93 ** 51 = 0.025."""
    low, high = proportion_difference_ci([1.0] * 8, [1.0] * 8) or (9.0, 9.0)
    t = scipy.stats.t.ppf(0.975, 7)
    assert (low, high) == pytest.approx((-(t**2) / (8 + t**2), t**2 / (8 + t**2)), abs=0.01)
    assert proportion_difference_ci([1.0] * 7, [1.0] * 7) is None
    assert (proportion_difference_ci([1.0] * 60, [1.0] * 60) or (-1.0, 1.0))[0] > -0.07
    assert (proportion_difference_ci([1.0] * 48, [1.0] * 48) or (0.0, 0.0))[0] < -0.07
    assert proportion_difference_ci([0.0] * 8, [1.0] * 8) == pytest.approx((-1, -0.42), abs=0.05)


@pytest.mark.parametrize("n", [8, 32, 128])
def test_a_loss_at_the_margin_seldom_passes_as_a_share(n: int) -> None:
    """A bootstrap passes 60% of these at n = 8: where nothing was lost its interval is a point."""
    generator, passed = np.random.default_rng(9), 0
    for _ in range(400):
        lost = (generator.random(n) < 0.07).astype(float)
        interval = proportion_difference_ci(1 - lost, np.ones(n))
        passed += verdict(interval, 0.07, "higher") == "pass"
    assert passed / 400 <= 0.045  # 2.5% and two standard errors and a half


def test_ratio_interval_uses_the_pairs() -> None:
    """A drift shared by both sides of a block cancels."""
    generator = np.random.default_rng(4)
    drift = generator.uniform(1, 3, 30)
    low, high = bootstrap_ratio_ci(1.1 * drift, drift) or (0.0, 0.0)
    assert low == pytest.approx(1.1) and high == pytest.approx(1.1)
    with pytest.raises(ValueError, match="must be positive"):
        bootstrap_ratio_ci(np.ones(9), np.zeros(9))


def test_intervals_are_fast() -> None:
    """A thousand images: well under a second even on a busy core."""
    x = np.random.default_rng(5).normal(size=1000)
    start = time.process_time()
    bootstrap_mean_ci(x)
    assert time.process_time() - start < 0.5


@settings(max_examples=30)
@given(values=SAMPLES, seed=st.integers(0, 2**32 - 1))
def test_an_interval_of_a_mean_lies_within_the_data(values: list[float], seed: int) -> None:
    low, high = bootstrap_mean_ci(values, seed=seed, resamples=200) or (math.nan, math.nan)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert min(values) - slack <= low <= high <= max(values) + slack


@settings(max_examples=30)
@given(values=SAMPLES, shift=FINITE, scale=st.floats(0.01, 100))
def test_an_interval_follows_shift_and_scale(
    values: list[float], shift: float, scale: float
) -> None:
    low, high = bootstrap_mean_ci(values, resamples=200) or (0.0, 0.0)
    moved = bootstrap_mean_ci(np.array(values) * scale + shift, resamples=200)
    tolerance = 1e-9 * (1 + abs(shift) + scale * max(map(abs, values)))
    assert moved == pytest.approx((low * scale + shift, high * scale + shift), abs=tolerance)


@pytest.mark.parametrize("bad", [[1.0, math.nan], [1.0, math.inf], [[1.0, 2.0]]])
def test_values_that_are_no_sample_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"not finite|one-dimensional"):
        bootstrap_mean_ci(bad)  # type: ignore[arg-type]


def test_labels_must_fit_and_keep_their_order() -> None:
    with pytest.raises(ValueError, match="3 labels for 2 values"):
        bootstrap_mean_ci([1.0, 2.0], clusters="abc")
    assert cluster_index(["b", "a", "b", 7]).tolist() == [0, 1, 0, 2]


# --- tests


def test_permutation_by_hand() -> None:
    """Differences 1, 2, 3: of 8 sign patterns only +++ reaches 6, and --- on the other side."""
    assert permutation_test([1, 2, 3], [0, 0, 0], alternative="greater") == 1 / 8
    assert permutation_test([1, 2, 3], [0, 0, 0]) == 2 / 8
    assert permutation_test([1, 2, 3], [0, 0, 0], alternative="less") == 1.0
    assert permutation_test([1, 1], [1, 1]) == 1.0
    with pytest.raises(ValueError, match="no samples"):
        permutation_test([], [])
    with pytest.raises(ValueError, match="differ in length: 2 and 3"):
        permutation_test([1, 2], [1, 2, 3])


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n", [9, 40])
def test_permutation_equals_scipy(n: int, alternative: str) -> None:
    """Exact at 9; at 40 both are Monte Carlo of 10,000, so three standard errors."""
    generator = np.random.default_rng(n)
    x, y = generator.normal(0.25, 1, n), generator.normal(0, 1, n)
    want = scipy.stats.permutation_test(
        (x, y),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        alternative=alternative,
        n_resamples=10_000 if n > 9 else np.inf,
        rng=0,
    ).pvalue
    got = permutation_test(x, y, alternative=alternative)  # type: ignore[arg-type]
    assert got == pytest.approx(want, abs=1e-12 if n == 9 else 3 * math.sqrt(0.5 / 10_000))


def test_permutation_flips_whole_clusters() -> None:
    """Two prompts can give no p-value below 1/2, however many images they have."""
    x, labels = np.ones(200), [i % 2 for i in range(200)]
    assert permutation_test(x, np.zeros(200), labels) == 0.5
    assert permutation_test(x, np.zeros(200)) < 0.001


def test_permutation_is_never_zero_and_keeps_its_level() -> None:
    assert permutation_test(np.ones(30), np.zeros(30), resamples=99) == 0.01
    generator = np.random.default_rng(6)
    low = sum(
        permutation_test(generator.normal(size=15), np.zeros(15), resamples=200) <= 0.05
        for _ in range(300)
    )
    assert low / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, then the running maximum."""
    np.testing.assert_allclose(holm([0.02, 0.01, 0.5, 0.03]), [0.06, 0.04, 0.5, 0.06])
    assert holm([]).tolist() == [] and holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_no_correction_and_bonferroni(p: list[float]) -> None:
    adjusted, raw = holm(p), np.array(p)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(raw * len(p), 1) + 1e-12).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


# --- verdicts and sizes


@pytest.mark.parametrize(
    "ci,direction,expected",
    [
        ((-0.05, 0.05), "higher", "pass"),
        ((0.2, 0.3), "higher", "pass"),  # better by more than the margin is no regression
        ((-0.15, 0.0), "higher", "inconclusive"),
        ((-0.3, -0.2), "higher", "regression"),
        ((-0.1, 0.0), "higher", "pass"),
        ((-0.3, -0.2), "lower", "pass"),
        ((0.2, 0.3), "lower", "regression"),
        ((0.05, 0.2), "lower", "inconclusive"),
        ((0.2, 0.3), "none", "regression"),
        ((-0.3, -0.2), "none", "regression"),
        ((-0.1, 0.1), "none", "pass"),
        ((-0.2, 0.2), "none", "inconclusive"),
        (None, "higher", "inconclusive"),
        ((math.nan, 0.0), "higher", "inconclusive"),
        ((0.0, math.nan), "higher", "inconclusive"),
        ((-math.inf, math.inf), "none", "inconclusive"),
    ],
)
def test_verdict(ci: tuple[float, float] | None, direction: str, expected: str) -> None:
    assert verdict(ci, 0.1, direction) == expected  # type: ignore[arg-type]


@given(low=FINITE, width=st.floats(0, 1e6), margin=st.floats(0, 1e6))
def test_verdict_mirrors_with_the_direction(low: float, width: float, margin: float) -> None:
    high = low + width
    assert verdict((low, high), margin, "higher") == verdict((-high, -low), margin, "lower")


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        verdict((0.0, 0.0), margin, "higher")


def test_sizes_follow_the_rule_of_2_8() -> None:
    assert minimum_detectable_effect(1.0, 100) == pytest.approx(0.2802, abs=1e-4)
    assert needed_n(1.0, 0.28) == 101 and needed_n(0.0, 1.0) == 2
    for effect in (0.01, 0.3, 2.0):
        n = needed_n(1.0, effect)
        assert (minimum_detectable_effect(1.0, n) or 9) <= effect
    with pytest.raises(ValueError, match="effect"):
        needed_n(1.0, 0.0)


@pytest.mark.parametrize("degrees", [1, 2, 5, 500])
def test_t_quantile_equals_scipy(degrees: int) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=1e-9)


@pytest.mark.parametrize("extra,loaded", [("", "[]"), ("import scipy", "['scipy']")])
def test_only_numpy_is_imported(extra: str, loaded: str) -> None:
    """The second case shows that the first can fail."""
    heavy = "print(sorted({'torch', 'scipy'} & {*sys.modules}))"
    code = f"import sys, turbo_lab.analysis.stats\n{extra}\n{heavy}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == loaded
