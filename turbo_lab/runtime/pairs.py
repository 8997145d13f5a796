"""Two calls against each other: interleaved blocks, a ratio with its interval, a noise floor.

Owns the order of blocks and the verdict. A machine drifts: what is timed first
is not comparable with what is timed last, so the two are mixed in a seeded ABBA
order, and the same is done with A against itself. A difference inside what A
shows against A is none.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from turbo_lab.errors import InputError
from turbo_lab.runtime.host import HostLoad
from turbo_lab.runtime.timing import (
    TimingRule,
    call_ns,
    drift_warnings,
    no_garbage_collection,
    synchronizer,
    timing_rule,
)
from turbo_lab.stats import Interval, bootstrap_ratio_ci

MIN_PAIRS = 8
"""Fewest pairs of blocks that get an interval."""


@dataclass(frozen=True)
class PairedTiming:
    """What B takes, as a ratio to A."""

    ratio: float
    """Mean of B over mean of A; below 1 B is faster."""
    ci95: Interval
    """Of the ratio, over pairs of neighbouring blocks."""
    noise_ci95: Interval
    """Of A against A in the same run: what a ratio of 1 looks like here."""
    noise_ratio: float
    """Of A against A."""
    a_s: float
    """Mean seconds of a call of A."""
    b_s: float
    """Mean seconds of a call of B."""
    blocks_a_s: tuple[float, ...]
    """Mean of each block of A, in order."""
    blocks_b_s: tuple[float, ...]
    """Mean of each block of B, in order."""
    calls_a_block: int
    """Calls in a block."""
    warnings: tuple[str, ...]
    """What makes the figures less than they seem."""

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

    Each pair of blocks is AB or BA by a seeded coin, and the pairs of A against A
    are mixed in between. A block's calls last together about a ``num_pairs``-th
    of the rule's floor; there are at least ``num_pairs`` (8 or more) pairs.
    """
    rule = timing_rule(rule) if isinstance(rule, str) else rule
    if num_pairs < MIN_PAIRS:
        raise InputError(
            f"pairs={num_pairs}: must be at least {MIN_PAIRS}, or there is no interval"
        )
    blocks = _Blocks(device, clock)
    load = HostLoad()
    with no_garbage_collection(2 if rule.collect_all else 1):
        for call in (call_a, call_b, call_a, call_b):
            blocks.mean_s(call, 1)  # first calls: compilation, caches, allocation
        slower = max(blocks.mean_s(call_a, 1), blocks.mean_s(call_b, 1))
        calls = max(1, round(rule.min_duration_s / num_pairs / slower))
        tested, noise = _interleave(blocks, call_a, call_b, calls, num_pairs, seed)
    blocks_a, blocks_b = tested
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
        warnings=(*drift_warnings(tuple(blocks_a)), *load.warnings()),
    )


Blocks = tuple[list[float], list[float]]


def _interleave(
    blocks: _Blocks,
    call_a: Callable[[], object],
    call_b: Callable[[], object],
    calls: int,
    num_pairs: int,
    seed: int,
) -> tuple[Blocks, Blocks]:
    """((A, B), (A, A)): block means in seconds, pairs in a seeded order."""
    draws = random.Random(seed)
    tested: Blocks = ([], [])
    noise: Blocks = ([], [])
    kinds = [True, False] * num_pairs  # a test and a noise pair by turns
    for is_test in kinds:
        second = call_b if is_test else call_a
        into = tested if is_test else noise
        order = [(0, call_a), (1, second)]
        if draws.random() < 0.5:
            order.reverse()
        for side, call in order:
            into[side].append(blocks.mean_s(call, calls))
    return tested, noise


class _Blocks:
    """Blocks of calls on one device."""

    def __init__(self, device: str, clock: Callable[[], int]) -> None:
        self._wait, self._now = synchronizer(device), clock

    def mean_s(self, call: Callable[[], object], calls: int) -> float:
        """Mean seconds of ``calls`` calls."""
        return sum(call_ns(call, self._wait, self._now) for _ in range(calls)) / calls / 1e9
