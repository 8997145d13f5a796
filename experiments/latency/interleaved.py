"""Several calls in one run: rounds of one block each, in an order that a seeded coin decides.

Owns the order of blocks and what they say. A machine drifts, so what is timed first does not
compare with what is timed last: in every round each call has one block, and ratios are taken
over rounds.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.analysis.stats import Interval, bootstrap_mean_ci, bootstrap_ratio_ci
from turbo_lab.runtime.energy import EnergyLog, EnergyMeter, summarize_energy
from turbo_lab.runtime.timing import call_ns, no_garbage_collection, synchronizer
from turbo_lab.store.record import EnergySummary

Call = Callable[[], object]
# Calls after the first one, which has been made before: allocators and clocks settle.
_WARM_UP = 2


@dataclass(frozen=True)
class Measured:
    """The blocks of one call."""

    blocks_s: tuple[float, ...]
    """Mean time of a call in each block, in seconds, in order."""
    energy: EnergySummary | None
    """Energy per image; ``None``: the device has no meter."""

    @property
    def mean_s(self) -> float:
        """Mean time of a call, in seconds."""
        return sum(self.blocks_s) / len(self.blocks_s)

    @property
    def ci95(self) -> Interval | None:
        """95% interval of the mean, over blocks; ``None``: fewer than 8 blocks."""
        return bootstrap_mean_ci(self.blocks_s)

    def ratio_to(self, other: Measured) -> tuple[float, Interval | None]:
        """Return the ratio of means to another call of the same rounds, with its interval."""
        return self.mean_s / other.mean_s, bootstrap_ratio_ci(self.blocks_s, other.blocks_s)


def interleave(
    calls: Mapping[str, Call],
    images_per_call: int,
    rounds: int,
    block_s: float,
    device: str = "cpu",
    meter: EnergyMeter | None = None,
    seed: int = 0,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Measured]:
    """Time calls against each other; each block lasts at least ``block_s``, at least one call.

    Every call has been made once before. The clock is a parameter for tests; nanoseconds.
    """
    wait = synchronizer(device)
    blocks: dict[str, list[float]] = {name: [] for name in calls}
    logs = {name: EnergyLog(meter) for name in calls}
    with no_garbage_collection(1):
        counts = {}
        for name, call in calls.items():
            taken = [call_ns(call, wait, clock) for _ in range(_WARM_UP)]
            counts[name] = max(1, math.ceil(block_s * 1e9 / max(1, min(taken))))
        for name in _order(list(calls), rounds, seed):
            if wait is not None:
                wait()
            logs[name].begin()
            spent_ns = sum(call_ns(calls[name], wait, clock) for _ in range(counts[name]))
            logs[name].end(counts[name], spent_ns / 1e9)
            blocks[name].append(spent_ns / counts[name] / 1e9)
    return {
        name: Measured(
            tuple(blocks[name]),
            summarize_energy(logs[name].blocks, logs[name].method, images_per_call),
        )
        for name in calls
    }


def _order(names: Sequence[str], rounds: int, seed: int) -> list[str]:
    """Return the names of all blocks: a shuffled round, then the same round in reverse."""
    draws, order = random.Random(seed), list[str]()
    for number in range(rounds):
        if number % 2 == 0:
            last = draws.sample(list(names), len(names))
            order += last
        else:
            order += reversed(last)
    return order
