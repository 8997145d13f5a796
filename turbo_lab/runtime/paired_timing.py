"""Two calls against each other: interleaved blocks, a ratio with its interval, a noise floor.

Owns the order of blocks and the verdict. A machine drifts: what is timed first
is not comparable with what is timed last, so the two are mixed, A B B A or
B A A B by a seeded coin, and the same is done with A against itself. A difference
inside what A shows against A is not reported as a difference.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab.analysis.stats import Interval, bootstrap_ratio_ci
from turbo_lab.errors import InputError
from turbo_lab.progress import waiting
from turbo_lab.runtime.conditions import ConditionsLog
from turbo_lab.runtime.energy import BlockEnergy, EnergyLog, EnergyMeter
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
METERED_BLOCK_S = 0.5
"""Shortest block whose energy is measured: NVML's counter advances in steps of up to 0.1 s."""


@dataclass(frozen=True)
class PairedEnergy:
    """Energy of the tested pairs of blocks, per call."""

    blocks_a_j: tuple[float, ...]
    """Joules per call of each block of A, in order."""
    blocks_b_j: tuple[float, ...]
    """Joules per call of each block of B, in order."""
    method: str
    """``counter``: the device's energy counter; ``power``: mean power times time."""

    @property
    def ratio(self) -> float:
        """Energy of B over that of A."""
        return sum(self.blocks_b_j) / sum(self.blocks_a_j)

    @property
    def ci95(self) -> Interval | None:
        """95% interval of the ratio, over pairs; ``None`` if a block of A shows no energy."""
        if min(self.blocks_a_j) <= 0:
            return None
        return bootstrap_ratio_ci(self.blocks_b_j, self.blocks_a_j)


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
    energy: PairedEnergy | None = None
    """Energy of both; ``None``: no meter was given, or it gave no reading."""

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
    meter: EnergyMeter | None = None,
) -> PairedTiming:
    """Time two calls against each other, and A against itself, for as long.

    The clock is a parameter for tests; nanoseconds. With a ``meter``, energy is
    measured as well, in blocks of at least :data:`METERED_BLOCK_S`.

    Both are warmed up by the rule. Two pairs of blocks are A B B A or B A A B by a
    seeded coin, with the pairs of A against A in between. A block lasts about the
    rule's shortest duration divided by ``num_pairs``, which is 8 or more. The
    machine's state is read between pairs.
    """
    rule = timing_rule(rule) if isinstance(rule, str) else rule
    if num_pairs < MIN_PAIRS:
        raise InputError(
            f"pairs={num_pairs}: must be at least {MIN_PAIRS}, or there is no interval"
        )
    blocks = _Blocks(device, clock, meter)
    conditions = ConditionsLog(device)
    with no_garbage_collection(2 if rule.collect_all else 1):
        with waiting("warming up both sides"):
            unstable = [*blocks.warm_up("A", call_a, rule), *blocks.warm_up("B", call_b, rule)]
        calls = blocks.calls_per_block(call_a, call_b, rule.min_duration_s / num_pairs)
        conditions.read()
        order = _orders(num_pairs, seed)
        with waiting("timing both sides in turn"):
            tested, noise = _interleave(
                blocks, call_a, call_b, calls=calls, orders=order, between=conditions.read
            )
    drifts = drift_warnings(_in_order(tested, noise))
    warnings = (*unstable, *drifts, *conditions.disturbances().warnings)
    return _paired_timing(tested, noise, calls=calls, seed=seed, warnings=warnings)


def _in_order(tested: Blocks, noise: Blocks) -> tuple[float, ...]:
    """Return the means of all blocks of A: one of each tested pair, both of each noise pair."""
    turns = zip(tested[0], *noise, strict=True)
    return tuple(block.mean_s for turn in turns for block in turn)


def _paired_timing(
    tested: Blocks, noise: Blocks, calls: int, seed: int, warnings: tuple[str, ...]
) -> PairedTiming:
    """Return ratios and intervals of the blocks that ran."""
    blocks_a, blocks_b = ([block.mean_s for block in side] for side in tested)
    noise_a, noise_b = ([block.mean_s for block in side] for side in noise)
    ratio_ci = bootstrap_ratio_ci(blocks_b, blocks_a, seed=seed)
    noise_ci = bootstrap_ratio_ci(noise_b, noise_a, seed=seed)
    assert ratio_ci is not None and noise_ci is not None
    return PairedTiming(
        ratio=float(np.mean(blocks_b) / np.mean(blocks_a)),
        ci95=ratio_ci,
        noise_ci95=noise_ci,
        noise_ratio=float(np.mean(noise_b) / np.mean(noise_a)),
        a_s=float(np.mean(blocks_a)),
        b_s=float(np.mean(blocks_b)),
        blocks_a_s=tuple(blocks_a),
        blocks_b_s=tuple(blocks_b),
        calls_a_block=calls,
        warnings=warnings,
        energy=_paired_energy(tested),
    )


@dataclass(frozen=True)
class _Block:
    """One block of calls of one side."""

    mean_s: float
    """Mean seconds of a call."""
    energy: BlockEnergy | None
    """Energy of the block; ``None``: not measured."""
    method: str
    """Source of the energy."""


Blocks = tuple[list[_Block], list[_Block]]
"""Blocks of A and of B, in the order in which they ran."""


def _paired_energy(tested: Blocks) -> PairedEnergy | None:
    """Return the energy of the tested pairs; ``None`` unless every block has one."""
    every = [block for side in tested for block in side]
    sides = [
        tuple(b.energy.joules / b.energy.calls for b in side if b.energy is not None)
        for side in tested
    ]
    if sum(map(len, sides)) < len(every) or sum(sides[0]) <= 0:
        return None
    method = "power" if any(block.method == "power" for block in every) else "counter"
    return PairedEnergy(sides[0], sides[1], method)


def _interleave(
    blocks: _Blocks,
    call_a: Callable[[], object],
    call_b: Callable[[], object],
    calls: int,
    orders: Sequence[tuple[int, int]],
    between: Callable[[], object],
) -> tuple[Blocks, Blocks]:
    """Return ((A, B), (A, A)): blocks of a test and a noise pair by turns."""
    tested: Blocks = ([], [])
    noise: Blocks = ([], [])
    for order in orders:
        for into, second in ((tested, call_b), (noise, call_a)):
            for side in order:
                into[side].append(blocks.measure((call_a, second)[side], calls))
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

    def __init__(self, device: str, clock: Callable[[], int], meter: EnergyMeter | None) -> None:
        self._wait, self._now, self._meter = synchronizer(device), clock, meter

    def warm_up(self, name: str, call: Callable[[], object], rule: TimingRule) -> list[str]:
        """Call once (compilation, caches, allocation), then by the rule; return warnings."""
        call_ns(call, self._wait, self._now)
        taken, is_stable = warm_up(call, self._wait, self._now, rule)
        return [] if is_stable else [f"{name}: {unstable_warning(rule, taken)}"]

    def mean_s(self, call: Callable[[], object], calls: int) -> float:
        """Return the mean seconds of ``calls`` calls."""
        return sum(call_ns(call, self._wait, self._now) for _ in range(calls)) / calls / 1e9

    def calls_per_block(
        self, call_a: Callable[[], object], call_b: Callable[[], object], seconds: float
    ) -> int:
        """Return how many calls a block of at least about ``seconds`` has, of either side."""
        slower = max(self.mean_s(call_a, 1), self.mean_s(call_b, 1))
        calls = max(1, round(seconds / slower))
        if self._meter is not None:
            faster = min(self.mean_s(call_a, 1), self.mean_s(call_b, 1))
            calls = max(calls, math.ceil(METERED_BLOCK_S / faster))
        return calls

    def measure(self, call: Callable[[], object], calls: int) -> _Block:
        """Return a block of ``calls`` calls, with its energy if there is a meter."""
        energy = EnergyLog(self._meter)
        if self._wait is not None:
            self._wait()
        energy.begin()
        mean_s = self.mean_s(call, calls)
        energy.end(calls, mean_s * calls)
        return _Block(mean_s, next(iter(energy.blocks), None), energy.method)
