"""Paired comparisons: by hand, under the null, and at the margin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from turbo_lab.compare import (
    Row,
    compare_figure,
    hold_family,
    pareto,
    winners_and_losers,
    worst,
)
from turbo_lab.errors import InputError
from turbo_lab.record import Measurement

KEYS = [(f"prompt {i % 64}", i) for i in range(128)]


def measured(values: np.ndarray, direction: str = "higher", print_: str = "f") -> Measurement:
    return Measurement(
        "clip_score", float(values.mean()), "cosine", len(values), direction, print_, None,
        per_image=tuple(float(v) for v in values),
    )  # fmt: skip


def draws(seed: int = 0) -> tuple[np.ndarray, np.random.Generator]:
    generator = np.random.default_rng(seed)
    return 0.8 + 0.1 * generator.standard_normal(128), generator


def test_the_same_images_pass() -> None:
    base, _ = draws()
    row = compare_figure(measured(base), measured(base), KEYS, KEYS, 0.02)
    assert (row.verdict, row.difference, row.n) == ("pass", 0.0, 64)


def test_a_loss_beyond_the_margin_is_a_regression_and_a_gain_is_none() -> None:
    base, generator = draws()
    noise = 0.02 * generator.standard_normal(128)
    lost = compare_figure(measured(base - 0.04 + noise), measured(base), KEYS, KEYS, 0.02)
    assert lost.verdict == "regression"
    assert lost.difference == pytest.approx(-0.04, abs=0.01)
    assert lost.ci95 is not None and lost.ci95[1] < -0.02
    gained = measured(base + 0.04 + noise)
    assert compare_figure(gained, measured(base), KEYS, KEYS, 0.02).verdict == "pass"
    # A two-sided band, as MLPerf has it, is suspicious of a gain as well.
    both = compare_figure(gained, measured(base), KEYS, KEYS, 0.02, two_sided=True)
    assert both.verdict == "regression"
    lower = replace(gained, direction="lower")
    assert compare_figure(
        lower, measured(base, "lower"), KEYS, KEYS, 0.02
    ).verdict == "regression"  # fmt: skip


def test_too_much_noise_is_inconclusive_and_says_what_would_decide() -> None:
    base, generator = draws()
    row = compare_figure(
        measured(base + 0.4 * generator.standard_normal(128)), measured(base), KEYS, KEYS, 0.02
    )
    assert row.verdict == "inconclusive"
    assert "prompts would decide" in (row.note or "")


def test_pairs_are_found_by_prompt_and_seed_whatever_their_order() -> None:
    base, generator = draws()
    order = generator.permutation(128)
    row = compare_figure(
        measured(base[order]), measured(base), [KEYS[i] for i in order], KEYS, 0.02
    )
    assert (row.verdict, row.difference) == ("pass", 0.0)
    with pytest.raises(InputError, match="do not pair"):
        compare_figure(measured(base), measured(base), KEYS, [(p, s + 1) for p, s in KEYS], 0.02)


def test_other_fingerprints_are_refused_with_both_named() -> None:
    base, _ = draws()
    with pytest.raises(InputError, match="f and clip_score g: measured with different things"):
        compare_figure(measured(base), measured(base, print_="g"), KEYS, KEYS, 0.02)


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_what_has_no_value_is_an_error_and_never_a_pass(bad: float | None) -> None:
    base, _ = draws()
    broken = replace(measured(base), value=bad, note="error: no weights")
    assert compare_figure(broken, measured(base), KEYS, KEYS, 0.02).verdict == "error"
    assert compare_figure(measured(base), broken, KEYS, KEYS, 0.02).verdict == "error"
    holes = replace(measured(base), per_image=(float("nan"),) * 128)
    assert compare_figure(holes, measured(base), KEYS, KEYS, 0.02).verdict == "error"


def test_false_alarms_of_equal_pipelines_stay_below_their_level() -> None:
    """Two seed sets of one pipeline, many times: a difference of 0 within a margin of 0.01."""
    generator, alarms = np.random.default_rng(1), 0
    for _ in range(120):
        base = 0.8 + 0.05 * generator.standard_normal(128)
        other = 0.8 + 0.05 * generator.standard_normal(128)
        row = compare_figure(measured(other), measured(base), KEYS, KEYS, 0.01)
        alarms += hold_family([row])[0].verdict == "regression"
    assert alarms <= 6  # 5% of 120


def test_power_at_twice_the_margin() -> None:
    """A loss of 0.04 at a margin of 0.02, with the spread that seeds have (0.06)."""
    generator, caught = np.random.default_rng(2), 0
    for _ in range(40):
        base, _ = draws(int(generator.integers(1 << 30)))
        other = base - 0.04 + 0.06 * generator.standard_normal(128)
        row = compare_figure(measured(other), measured(base), KEYS, KEYS, 0.02)
        caught += hold_family([row])[0].verdict == "regression"
    assert caught >= 32


def row(verdict: str, p_value: float) -> Row:
    return Row("x", verdict, 0.0, 0.0, 0.0, None, 0.1, 8, None, p_value=p_value)


def test_holm_takes_back_what_chance_gives() -> None:
    rows = [row("regression", 0.03), row("pass", 0.9), row("pass", 0.9)]
    assert [r.verdict for r in hold_family(rows)] == ["inconclusive", "pass", "pass"]
    rows = [row("regression", 0.001), row("pass", 0.9), row("pass", 0.9)]
    assert hold_family(rows)[0].verdict == "regression"
    assert hold_family([]) == []


def test_the_worst_decides() -> None:
    assert worst(["pass", "inconclusive", "regression", "error"]) == "error"
    assert worst(["pass", "uncovered", "regression"]) == "regression"
    assert worst(["pass", "inconclusive"]) == "inconclusive"
    assert worst(["pass"]) == "pass"


def test_a_point_is_dominated_only_where_intervals_are_apart() -> None:
    points = {
        "fast": ((0.70, 0.72), (0.05, 0.06)),
        "good": ((0.80, 0.82), (0.20, 0.22)),
        "bad": ((0.60, 0.62), (0.21, 0.23)),
        "close": ((0.79, 0.81), (0.19, 0.23)),
    }
    assert pareto(points) == ["fast", "good", "close"]


def test_winners_and_losers_by_prompt() -> None:
    base, _ = draws()
    changed = base.copy()
    for index, (prompt, _) in enumerate(KEYS):
        changed[index] += {"prompt 3": 0.5, "prompt 9": -0.5}.get(prompt, 0.0)
    won, lost = winners_and_losers(measured(changed), measured(base), KEYS, KEYS, 1)
    assert (won[0][0], lost[0][0]) == ("prompt 3", "prompt 9")
