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
from dataclasses import dataclass, replace
from typing import Protocol

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


class TimedSide(Protocol):
    """One side of a comparison, which may run in another process."""

    def warm_up(self, rule: TimingRule) -> list[str]:
        """Call once (compilation, caches, allocation), then by the rule; return warnings."""

    def mean_s(self, calls: int) -> float:
        """Return the mean seconds of ``calls`` calls."""

    def measure(self, calls: int) -> Block:
        """Return a block of ``calls`` calls, with its energy if there is a meter."""


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
    """Time two calls of this process against each other, as :func:`compare_sides` does.

    The clock is a parameter for tests; nanoseconds. With a ``meter``, energy is
    measured as well, in blocks of at least :data:`METERED_BLOCK_S`. The machine's state is read
    between pairs.
    """
    rule = timing_rule(rule) if isinstance(rule, str) else rule
    conditions = ConditionsLog(device)
    sides = tuple(LocalSide(call, device, clock, meter) for call in (call_a, call_b))
    with no_garbage_collection(2 if rule.collect_all else 1):
        found = compare_sides(
            (sides[0], sides[1]),
            rule,
            seed=seed,
            num_pairs=num_pairs,
            shortest_block_s=None if meter is None else METERED_BLOCK_S,
            between=conditions.read,
        )
    disturbed = conditions.disturbances().warnings
    return replace(found, warnings=(*found.warnings, *disturbed))


def compare_sides(
    sides: tuple[TimedSide, TimedSide],
    rule: TimingRule,
    *,
    seed: int = 0,
    num_pairs: int = 12,
    shortest_block_s: float | None = None,
    between: Callable[[], object] = lambda: None,
) -> PairedTiming:
    """Time two sides against each other, and A against itself, for as long.

    Both are warmed up by the rule. Two pairs of blocks are A B B A or B A A B by a
    seeded coin, with the pairs of A against A in between. A block lasts about the
    rule's shortest duration divided by ``num_pairs``, which is 8 or more, and at least
    ``shortest_block_s``. ``between`` is called between pairs.
    """
    if num_pairs < MIN_PAIRS:
        raise InputError(
            f"pairs={num_pairs}: must be at least {MIN_PAIRS}, or there is no interval"
        )
    with waiting("warming up both sides"):
        unstable = [
            f"{name}: {text}"
            for name, side in zip("AB", sides, strict=True)
            for text in side.warm_up(rule)
        ]
    calls = _calls_per_block(sides, rule.min_duration_s / num_pairs, shortest_block_s)
    between()
    with waiting("timing both sides in turn"):
        tested, noise = _interleave(
            sides, calls=calls, orders=_orders(num_pairs, seed), between=between
        )
    warnings = (*unstable, *drift_warnings(_in_order(tested, noise)))
    return _paired_timing(tested, noise, calls=calls, seed=seed, warnings=warnings)


def _calls_per_block(
    sides: tuple[TimedSide, TimedSide], seconds: float, shortest_s: float | None
) -> int:
    """Return how many calls a block of at least about ``seconds`` has, of either side."""
    calls = max(1, round(seconds / max(side.mean_s(1) for side in sides)))
    if shortest_s is not None:
        calls = max(calls, math.ceil(shortest_s / min(side.mean_s(1) for side in sides)))
    return calls


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
class Block:
    """One block of calls of one side."""

    mean_s: float
    """Mean seconds of a call."""
    energy: BlockEnergy | None
    """Energy of the block; ``None``: not measured."""
    method: str
    """Source of the energy."""


Blocks = tuple[list[Block], list[Block]]
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
    sides: tuple[TimedSide, TimedSide],
    calls: int,
    orders: Sequence[tuple[int, int]],
    between: Callable[[], object],
) -> tuple[Blocks, Blocks]:
    """Return ((A, B), (A, A)): blocks of a test and a noise pair by turns."""
    tested: Blocks = ([], [])
    noise: Blocks = ([], [])
    for order in orders:
        for into, second in ((tested, sides[1]), (noise, sides[0])):
            for place in order:
                into[place].append((sides[0], second)[place].measure(calls))
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


class LocalSide:
    """A call of this process on one device."""

    def __init__(
        self,
        call: Callable[[], object],
        device: str = "cpu",
        clock: Callable[[], int] = time.perf_counter_ns,
        meter: EnergyMeter | None = None,
    ) -> None:
        self._call, self._wait, self._now = call, synchronizer(device), clock
        self._meter = meter

    def warm_up(self, rule: TimingRule) -> list[str]:
        """Call once (compilation, caches, allocation), then by the rule; return warnings."""
        call_ns(self._call, self._wait, self._now)
        taken, is_stable = warm_up(self._call, self._wait, self._now, rule)
        return [] if is_stable else [unstable_warning(rule, taken)]

    def mean_s(self, calls: int) -> float:
        """Return the mean seconds of ``calls`` calls."""
        return sum(call_ns(self._call, self._wait, self._now) for _ in range(calls)) / calls / 1e9

    def measure(self, calls: int) -> Block:
        """Return a block of ``calls`` calls, with its energy if there is a meter."""
        energy = EnergyLog(self._meter)
        if self._wait is not None:
            self._wait()
        energy.begin()
        mean_s = self.mean_s(calls)
        energy.end(calls, mean_s * calls)
        return Block(mean_s, next(iter(energy.blocks), None), energy.method)
