"""Two calls against each other, with waits whose length is known."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from turbo_lab.errors import InputError
from turbo_lab.runtime.paired_timing import PairedTiming, compare_calls
from turbo_lab.runtime.timing import TimingRule

RULE = TimingRule("test", 1, 1.0, 1, 0.0, 6, 0.1)
RULE_OF_ONE = TimingRule("one", 1, 1.0, 1, 0.0, 6, 0.0)
"""Blocks of one call."""


class Clock:
    """Time that passes only within calls, with a little seeded noise."""

    def __init__(self) -> None:
        self.now_ns, self._draws = 0, random.Random(0)

    def __call__(self) -> int:
        return self.now_ns

    def call(self, seconds: float) -> Callable[[], None]:
        def spend() -> None:
            self.now_ns += round(seconds * 1e9 * self._draws.uniform(0.95, 1.05))

        return spend


def timed(ci95: tuple[float, float], noise: tuple[float, float]) -> PairedTiming:
    return PairedTiming(1.0, ci95, noise, 1.0, 1.0, 1.0, (), (), 1, ())


def test_a_call_twice_as_long_is_slower() -> None:
    clock = Clock()
    short, long = clock.call(0.002), clock.call(0.004)
    found = compare_calls(short, long, RULE, clock=clock)
    assert found.verdict == "B is slower"
    assert found.ratio == pytest.approx(2, abs=0.05)
    assert found.ci95[0] <= found.ratio <= found.ci95[1]
    assert len(found.blocks_a_s) == len(found.blocks_b_s) == 12
    assert compare_calls(long, short, RULE, clock=clock).verdict == "B is faster"
    assert compare_calls(short, short, RULE, clock=clock).verdict == "no difference shown"


@pytest.mark.parametrize(
    ("ci95", "noise", "verdict"),
    [
        ((1.1, 1.3), (0.95, 1.05), "B is slower"),
        ((0.7, 0.9), (0.95, 1.05), "B is faster"),
        ((1.01, 1.04), (0.95, 1.05), "no difference shown"),  # excludes 1, within the noise
        ((0.9, 1.2), (0.99, 1.01), "no difference shown"),
        ((1.02, 1.04), (0.9, 0.99), "B is slower"),
        ((0.97, 0.99), (1.01, 1.1), "B is faster"),
    ],
)
def test_no_winner_inside_the_noise(
    ci95: tuple[float, float], noise: tuple[float, float], verdict: str
) -> None:
    assert timed(ci95, noise).verdict == verdict


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="at least 8"):
        compare_calls(Clock(), Clock(), RULE, num_pairs=4)


@pytest.mark.parametrize("seed", range(4))
def test_two_pairs_are_abba_or_baab(seed: int) -> None:
    calls: list[str] = []
    compare_calls(lambda: calls.append("a"), lambda: calls.append("b"), RULE_OF_ONE, seed=seed)
    blocks = "".join(calls[-48:])  # a test pair, a noise pair, by turns
    tested = [blocks[at : at + 2] for at in range(0, 48, 4)]
    assert all(blocks[at : at + 2] == "aa" for at in range(2, 48, 4))
    assert all(one == other[::-1] for one, other in zip(tested[::2], tested[1::2], strict=True))
    assert set(tested) == {"ab", "ba"}


def test_a_drift_takes_as_much_from_either_side_and_is_told() -> None:
    clock = Clock()

    def slower_and_slower() -> None:
        clock.now_ns += 1_000_000 + clock.now_ns // 100

    found = compare_calls(slower_and_slower, slower_and_slower, RULE_OF_ONE, clock=clock)
    assert found.verdict == "no difference shown"
    assert found.ratio == pytest.approx(1, abs=0.002)
    assert any(warning.startswith("drift: ") for warning in found.warnings)


def test_a_call_that_never_settles_is_told() -> None:
    clock = Clock()
    strict = TimingRule("strict", 3, 1e-9, 4, 10.0, 6, 0.0)
    found = compare_calls(clock.call(0.001), clock.call(0.001), strict, clock=clock)
    assert [w[:24] for w in found.warnings[:2]] == [
        "A: warm-up not stable af",
        "B: warm-up not stable af",
    ]
