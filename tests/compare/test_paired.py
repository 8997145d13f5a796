"""Paired comparisons: by hand, under the null, and at the margin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from turbo_lab.compare.paired import compare_figure, hold_family, judge_pairs, winners_and_losers
from turbo_lab.documents.gate import CheckResult
from turbo_lab.errors import InputError
from turbo_lab.store.record import Measurement

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
    assert (both.verdict, both.direction) == ("regression", "none")
    lower = replace(gained, direction="lower")
    assert compare_figure(
        lower, measured(base, "lower"), KEYS, KEYS, 0.02
    ).verdict == "regression"  # fmt: skip


def test_too_much_noise_is_inconclusive_and_says_what_would_decide() -> None:
    base, generator = draws()
    row = compare_figure(
        measured(base + 0.4 * generator.standard_normal(128)), measured(base), KEYS, KEYS, 0.02
    )
    (held,) = hold_family([row])
    assert held.verdict == "inconclusive" and held.needed_n is not None
    assert held.needed_n > 2 * held.n


@pytest.mark.parametrize("true", [-0.05, 0.0, 0.03])
def test_the_number_that_would_decide_decides_in_four_of_five(true: float) -> None:
    """Told at 16 prompts of a known spread, tried at that number; a gain counts as room."""
    spread, margin = 0.1, 0.02
    low, high = true - 1.96 * spread / 4, true + 1.96 * spread / 4
    told = CheckResult(
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
    (held,) = hold_family([told])
    assert held.needed_n == pytest.approx((2.8016 * spread / abs(true + margin)) ** 2, abs=1.5)
    generator, decided = np.random.default_rng(3), 0
    for _ in range(60):
        n = held.needed_n or 0
        other = 0.5 + true + spread * generator.standard_normal(n)
        said, _ = judge_pairs(other, np.full(n, 0.5), range(n), margin, "higher", "cosine")
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
    assert [row.needed_n for row in hold_family([on_edge, passed, few])] == [None, None, 8]


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


@pytest.mark.parametrize(("n", "verdict"), [(8, "inconclusive"), (128, "pass")])
def test_shares_that_never_differ_pass_only_where_enough_were_asked(n: int, verdict: str) -> None:
    """Eight of eight right on both sides leaves room for a loss of 7% and of much more."""
    right = replace(measured(np.ones(n)), name="r_precision", unit="fraction")
    (held,) = hold_family([compare_figure(right, right, KEYS[:n], KEYS[:n], 0.07)])
    assert (held.verdict, held.difference) == (verdict, 0.0)
    assert (held.needed_n is not None) == (verdict == "inconclusive")


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


def test_holm_takes_back_what_chance_gives() -> None:
    rows = [row("regression", 0.03), row("pass", 0.9), row("pass", 0.9)]
    assert [r.verdict for r in hold_family(rows)] == ["inconclusive", "pass", "pass"]
    rows = [row("regression", 0.001), row("pass", 0.9), row("pass", 0.9)]
    assert hold_family(rows)[0].verdict == "regression"
    assert hold_family([]) == []


def test_what_holm_takes_back_keeps_its_note_and_needs_more() -> None:
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
        note="retried, attempt 2 counts",
        p_value=0.03,
    )
    alone, of_three = hold_family([taken])[0], hold_family([taken, *[row("pass", 0.9)] * 2])[0]
    assert (alone.verdict, alone.needed_n) == ("regression", None)
    assert of_three.verdict == "inconclusive"
    assert of_three.note == "beyond the margin, but not over all checks; retried, attempt 2 counts"
    # (z(1 - 0.05 / 3) + z(0.8)) of the errors, where one check alone needs 2.8.
    spread = 0.09 / 1.96 * 12**0.5
    assert of_three.needed_n == pytest.approx(((2.128 + 0.8416) * spread / 0.1) ** 2, abs=1.5)


def test_winners_and_losers_by_prompt() -> None:
    base, _ = draws()
    changed = base.copy()
    for index, (prompt, _) in enumerate(KEYS):
        changed[index] += {"prompt 3": 0.5, "prompt 9": -0.5}.get(prompt, 0.0)
    won, lost = winners_and_losers(measured(changed), measured(base), KEYS, KEYS, 1)
    assert (won[0][0], lost[0][0]) == ("prompt 3", "prompt 9")
