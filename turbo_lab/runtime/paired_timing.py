"""Two calls against each other: interleaved blocks, a ratio with its interval, a noise floor.

Owns the order of blocks and the verdict. A machine drifts: what is timed first
is not comparable with what is timed last, so the two are mixed, A B B A or
B A A B by a seeded coin, and the same is done with A against itself. A difference
inside what A shows against A is none.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab.analysis.stats import Interval, bootstrap_ratio_ci
from turbo_lab.errors import InputError
from turbo_lab.runtime.conditions import ConditionsLog
from turbo_lab.runtime.timing import (
    TimingRule,
    call_ns,
    drift_warnings,
    no_garbage_collection,
    synchronizer,
    timing_rule,
    unstable_warning,
    warm_up,
)

MIN_PAIRS = 8
"""Fewest pairs of blocks that get an interval."""


@dataclass(frozen=True)
class PairedTiming:
    """Latency of B as a ratio to that of A."""

    ratio: float
    """Mean of B over mean of A; below 1 B is faster."""
    ci95: Interval
    """95% interval of the ratio, over pairs of neighbouring blocks."""
    noise_ci95: Interval
    """95% interval of A against A in the same run: the noise around a ratio of 1."""
    noise_ratio: float
    """Ratio of A against A."""
    a_s: float
    """Mean seconds of a call of A."""
    b_s: float
    """Mean seconds of a call of B."""
    blocks_a_s: tuple[float, ...]
    """Mean of each block of A, in order."""
    blocks_b_s: tuple[float, ...]
    """Mean of each block of B, in order."""
    calls_a_block: int
    """Number of calls per block."""
    warnings: tuple[str, ...]
    """Reasons to trust the measurements less."""

    @property
    def verdict(self) -> str:
        """``B is faster``, ``B is slower``, or ``no difference shown``.

        The interval has to exclude 1 and to lie outside of the noise's.
        """
        low, high = self.ci95
        if high < min(1.0, self.noise_ci95[0]):
            return "B is faster"
        if low > max(1.0, self.noise_ci95[1]):
            return "B is slower"
        return "no difference shown"


def compare_calls(
    call_a: Callable[[], object],
    call_b: Callable[[], object],
    rule: TimingRule | str = "short",
    device: str = "cpu",
    seed: int = 0,
    num_pairs: int = 12,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> PairedTiming:
    """Time two calls against each other, and A against itself, for as long.

    The clock is a parameter for tests; nanoseconds.

    Either is warmed up by the rule. Two pairs of blocks are A B B A or B A A B by a
    seeded coin, with the pairs of A against A in between. A block's calls last
    together about a ``num_pairs``-th of the rule's floor; ``num_pairs`` is 8 or
    more. The machine's state is read between pairs.
    """
    rule = timing_rule(rule) if isinstance(rule, str) else rule
    if num_pairs < MIN_PAIRS:
        raise InputError(
            f"pairs={num_pairs}: must be at least {MIN_PAIRS}, or there is no interval"
        )
    blocks = _Blocks(device, clock)
    conditions = ConditionsLog(device)
    with no_garbage_collection(2 if rule.collect_all else 1):
        unstable = [*blocks.warm_up("A", call_a, rule), *blocks.warm_up("B", call_b, rule)]
        slower = max(blocks.mean_s(call_a, 1), blocks.mean_s(call_b, 1))
        calls = max(1, round(rule.min_duration_s / num_pairs / slower))
        conditions.read()
        order = _orders(num_pairs, seed)
        tested, noise = _interleave(
            blocks, call_a, call_b, calls=calls, orders=order, between=conditions.read
        )
    blocks_a, blocks_b = tested
    # In the order in which they ran: of a test pair one block is A's, of a noise pair both.
    all_a = [s for turn in zip(blocks_a, *noise, strict=True) for s in turn]
    ratio_ci = bootstrap_ratio_ci(blocks_b, blocks_a, seed=seed)
    noise_ci = bootstrap_ratio_ci(noise[1], noise[0], seed=seed)
    assert ratio_ci is not None and noise_ci is not None
    return PairedTiming(
        ratio=float(np.mean(blocks_b) / np.mean(blocks_a)),
        ci95=ratio_ci,
        noise_ci95=noise_ci,
        noise_ratio=float(np.mean(noise[1]) / np.mean(noise[0])),
        a_s=float(np.mean(blocks_a)),
        b_s=float(np.mean(blocks_b)),
        blocks_a_s=tuple(blocks_a),
        blocks_b_s=tuple(blocks_b),
        calls_a_block=calls,
        warnings=(*unstable, *drift_warnings(tuple(all_a)), *conditions.warnings()),
    )


Blocks = tuple[list[float], list[float]]


def _interleave(
    blocks: _Blocks,
    call_a: Callable[[], object],
    call_b: Callable[[], object],
    calls: int,
    orders: Sequence[tuple[int, int]],
    between: Callable[[], object],
) -> tuple[Blocks, Blocks]:
    """Return ((A, B), (A, A)): block means in seconds, a test and a noise pair by turns."""
    tested: Blocks = ([], [])
    noise: Blocks = ([], [])
    for order in orders:
        for into, second in ((tested, call_b), (noise, call_a)):
            for side in order:
                into[side].append(blocks.mean_s((call_a, second)[side], calls))
            between()
    return tested, noise


def _orders(num_pairs: int, seed: int) -> list[tuple[int, int]]:
    """Choose the order within each pair: a coin for two pairs, the second in reverse.

    A drift that is a line takes as much from either side.
    """
    draws, orders = random.Random(seed), []
    for _ in range(0, num_pairs, 2):
        first = (0, 1) if draws.random() < 0.5 else (1, 0)
        orders += [first, first[::-1]]
    return orders[:num_pairs]


class _Blocks:
    """Blocks of calls on one device."""

    def __init__(self, device: str, clock: Callable[[], int]) -> None:
        self._wait, self._now = synchronizer(device), clock

    def warm_up(self, name: str, call: Callable[[], object], rule: TimingRule) -> list[str]:
        """Call once (compilation, caches, allocation), then by the rule; return warnings."""
        call_ns(call, self._wait, self._now)
        taken, is_stable = warm_up(call, self._wait, self._now, rule)
        return [] if is_stable else [f"{name}: {unstable_warning(rule, taken)}"]

    def mean_s(self, call: Callable[[], object], calls: int) -> float:
        """Return the mean seconds of ``calls`` calls."""
        return sum(call_ns(call, self._wait, self._now) for _ in range(calls)) / calls / 1e9
