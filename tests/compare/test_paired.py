"""Paired comparisons: by hand, under the null, and at the margin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from turbo_lab.compare.paired import (
    Pairs,
    ScoredImages,
    apply_holm,
    compare_metric,
    judge_pairs,
    winners_and_losers,
)
from turbo_lab.documents.gate import CheckResult
from turbo_lab.errors import InputError
from turbo_lab.store.record import Measurement

KEYS = [(f"prompt {i % 64}", i) for i in range(128)]


def measured(values: np.ndarray, direction: str = "higher", fingerprint: str = "f") -> ScoredImages:
    return scored(
        Measurement(
            name="clip_score",
            value=float(values.mean()),
            unit="cosine",
            n=len(values),
            direction=direction,
            fingerprint=fingerprint,
            ci95=None,
            per_image=tuple(float(v) for v in values),
        )
    )


def scored(measurement: Measurement) -> ScoredImages:
    return ScoredImages(measurement, KEYS[: len(measurement.per_image or ())])


def changed(one: ScoredImages, **fields: object) -> ScoredImages:
    return replace(one, measurement=replace(one.measurement, **fields))


def draws(seed: int = 0) -> tuple[np.ndarray, np.random.Generator]:
    generator = np.random.default_rng(seed)
    return 0.8 + 0.1 * generator.standard_normal(128), generator


def test_the_same_images_pass() -> None:
    base, _ = draws()
    row = compare_metric(measured(base), measured(base), 0.02)
    assert (row.verdict, row.difference, row.n) == ("pass", 0.0, 64)


def test_a_loss_beyond_the_margin_is_a_regression_and_a_gain_is_not() -> None:
    base, generator = draws()
    noise = 0.02 * generator.standard_normal(128)
    lost = compare_metric(measured(base - 0.04 + noise), measured(base), 0.02)
    assert lost.verdict == "regression"
    assert lost.difference == pytest.approx(-0.04, abs=0.01)
    assert lost.ci95 is not None and lost.ci95[1] < -0.02
    gained = measured(base + 0.04 + noise)
    assert compare_metric(gained, measured(base), 0.02).verdict == "pass"
    # A two-sided band, as MLPerf has it, is suspicious of a gain as well.
    both = compare_metric(gained, measured(base), 0.02, two_sided=True)
    assert (both.verdict, both.direction) == ("regression", "none")
    lower = changed(gained, direction="lower")
    assert compare_metric(lower, measured(base, "lower"), 0.02).verdict == "regression"


def test_too_much_noise_is_inconclusive_and_says_what_would_decide() -> None:
    base, generator = draws()
    row = compare_metric(
        measured(base + 0.4 * generator.standard_normal(128)), measured(base), 0.02
    )
    (corrected,) = apply_holm([row])
    assert corrected.verdict == "inconclusive" and corrected.needed_n is not None
    assert corrected.needed_n > 2 * corrected.n


@pytest.mark.parametrize("true", [-0.05, 0.0, 0.03])
def test_the_number_of_pairs_that_would_decide_does_so_in_four_of_five_draws(true: float) -> None:
    """Ask for the number at 16 prompts of a known spread, then draw that many pairs."""
    spread, margin = 0.1, 0.02
    low, high = true - 1.96 * spread / 4, true + 1.96 * spread / 4
    undecided = CheckResult(
        name="x",
        verdict="inconclusive",
        value=0.0,
        baseline=0.0,
        difference=true,
        ci95=(low, high),
        margin=margin,
        n=16,
        direction="higher",
        p_value=0.5,
    )
    (corrected,) = apply_holm([undecided])
    assert corrected.needed_n == pytest.approx((2.8016 * spread / abs(true + margin)) ** 2, abs=1.5)
    generator, decided = np.random.default_rng(3), 0
    for _ in range(60):
        n = corrected.needed_n or 0
        other = 0.5 + true + spread * generator.standard_normal(n)
        said, _ = judge_pairs(Pairs(other, np.full(n, 0.5), range(n)), margin, "higher", "cosine")
        decided += said != "inconclusive"
    assert decided >= 38  # 80% of 60 less three standard errors


def test_no_number_decides_on_the_edge_and_a_decided_row_needs_none() -> None:
    on_edge = CheckResult(
        name="x",
        verdict="inconclusive",
        value=0.0,
        baseline=0.0,
        difference=-0.02,
        ci95=(-0.1, 0.06),
        margin=0.02,
        n=16,
        direction="higher",
    )
    passed = replace(on_edge, verdict="pass", difference=0.0)
    few = replace(on_edge, ci95=None, n=4)
    assert [row.needed_n for row in apply_holm([on_edge, passed, few])] == [None, None, 8]


def test_images_pair_by_prompt_and_seed_in_any_order() -> None:
    base, generator = draws()
    order = generator.permutation(128)
    shuffled = replace(measured(base[order]), keys=[KEYS[i] for i in order])
    row = compare_metric(shuffled, measured(base), 0.02)
    assert (row.verdict, row.difference) == ("pass", 0.0)
    with pytest.raises(InputError, match="do not pair"):
        compare_metric(shuffled, replace(shuffled, keys=[(p, s + 1) for p, s in KEYS]), 0.02)


def test_measurements_of_two_fingerprints_are_refused_and_both_are_named() -> None:
    base, _ = draws()
    with pytest.raises(InputError, match="f and clip_score g: measured in different ways"):
        compare_metric(measured(base), measured(base, fingerprint="g"), 0.02)


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_metric_without_a_value_is_an_error_and_never_passes(bad: float | None) -> None:
    base, _ = draws()
    broken = changed(measured(base), value=bad, note="error: no weights")
    assert compare_metric(broken, measured(base), 0.02).verdict == "error"
    assert compare_metric(measured(base), broken, 0.02).verdict == "error"
    holes = changed(measured(base), per_image=(float("nan"),) * 128)
    assert compare_metric(holes, measured(base), 0.02).verdict == "error"


def test_false_alarms_of_equal_pipelines_stay_below_their_level() -> None:
    """Two seed sets of one pipeline, many times: a difference of 0 within a margin of 0.01."""
    generator, alarms = np.random.default_rng(1), 0
    for _ in range(120):
        base = 0.8 + 0.05 * generator.standard_normal(128)
        other = 0.8 + 0.05 * generator.standard_normal(128)
        row = compare_metric(measured(other), measured(base), 0.01)
        alarms += apply_holm([row])[0].verdict == "regression"
    assert alarms <= 6  # 5% of 120


def test_power_at_twice_the_margin() -> None:
    """A loss of 0.04 at a margin of 0.02, with the spread that seeds have (0.06)."""
    generator, caught = np.random.default_rng(2), 0
    for _ in range(40):
        base, _ = draws(int(generator.integers(1 << 30)))
        other = base - 0.04 + 0.06 * generator.standard_normal(128)
        row = compare_metric(measured(other), measured(base), 0.02)
        caught += apply_holm([row])[0].verdict == "regression"
    assert caught >= 32


@pytest.mark.parametrize(("n", "verdict"), [(8, "inconclusive"), (128, "pass")])
def test_fractions_that_never_differ_pass_only_with_enough_images(n: int, verdict: str) -> None:
    """Eight correct images of eight on both sides do not exclude a loss of 7%."""
    right = changed(measured(np.ones(n)), name="r_precision", unit="fraction")
    (corrected,) = apply_holm([compare_metric(right, right, 0.07)])
    assert (corrected.verdict, corrected.difference) == (verdict, 0.0)
    assert (corrected.needed_n is not None) == (verdict == "inconclusive")


def row(verdict: str, p_value: float) -> CheckResult:
    return CheckResult(
        name="x",
        verdict=verdict,
        value=0.0,
        baseline=0.0,
        difference=0.0,
        margin=0.1,
        n=8,
        p_value=p_value,
    )


def test_holms_correction_takes_back_chance_regressions() -> None:
    rows = [row("regression", 0.03), row("pass", 0.9), row("pass", 0.9)]
    assert [r.verdict for r in apply_holm(rows)] == ["inconclusive", "pass", "pass"]
    rows = [row("regression", 0.001), row("pass", 0.9), row("pass", 0.9)]
    assert apply_holm(rows)[0].verdict == "regression"
    assert apply_holm([]) == []


def test_a_corrected_regression_keeps_its_note_and_needs_more_pairs() -> None:
    taken = CheckResult(
        name="latency",
        verdict="regression",
        value=1.3,
        baseline=1.0,
        difference=0.3,
        ci95=(0.21, 0.39),
        margin=0.2,
        n=12,
        direction="lower",
        note="repeated; attempt 2 counts",
        p_value=0.03,
    )
    alone, of_three = apply_holm([taken])[0], apply_holm([taken, *[row("pass", 0.9)] * 2])[0]
    assert (alone.verdict, alone.needed_n) == ("regression", None)
    assert of_three.verdict == "inconclusive"
    assert of_three.note == (
        "beyond its margin, but not after Holm's correction over all checks; "
        "repeated; attempt 2 counts"
    )
    # (z(1 - 0.05 / 3) + z(0.8)) of the errors, where one check alone needs 2.8.
    spread = 0.09 / 1.96 * 12**0.5
    assert of_three.needed_n == pytest.approx(((2.128 + 0.8416) * spread / 0.1) ** 2, abs=1.5)


def test_winners_and_losers_by_prompt() -> None:
    base, _ = draws()
    other = base.copy()
    for index, (prompt, _) in enumerate(KEYS):
        other[index] += {"prompt 3": 0.5, "prompt 9": -0.5}.get(prompt, 0.0)
    won, lost = winners_and_losers(measured(other), measured(base), 1)
    assert (won[0][0], lost[0][0]) == ("prompt 3", "prompt 9")
