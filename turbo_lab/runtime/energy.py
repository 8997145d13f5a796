"""Energy of the timed blocks of a run, from the device's own counter.

Owns the seam between the timing lane and the meter of a device, and how the joules of blocks
become one value with an interval. Without a counter, energy is mean power times time, and the
result says so. Without a meter there is no value; nothing is estimated from a data sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from turbo_lab.analysis.stats import bootstrap_ratio_ci
from turbo_lab.runtime.gpu import open_gpu
from turbo_lab.store.record import EnergySummary


class EnergyMeter(Protocol):
    """A device that can say how much energy it has used, or how much it uses now."""

    def energy_j(self) -> float | None:
        """Return the joules used since some fixed moment; ``None`` without a counter."""

    def power_w(self) -> float | None:
        """Return the power draw in watts; ``None`` if the device does not report it."""


def open_meter(device: str) -> EnergyMeter | None:
    """Return the meter of a torch device; ``None`` for a CPU, or without NVML."""
    return open_gpu(device)


@dataclass(frozen=True)
class BlockEnergy:
    """Energy of one block of calls."""

    joules: float
    """Energy between the block's start and its end."""
    calls: int
    """Calls in the block."""


class EnergyLog:
    """The energy of a run, block by block; ``begin`` and ``end`` are called between calls."""

    def __init__(self, meter: EnergyMeter | None) -> None:
        self._meter = meter
        self._start: tuple[float | None, float | None] = (None, None)
        self._blocks: list[BlockEnergy | None] = []
        self._counted = True

    def begin(self) -> None:
        """Read the meter before a block; the device must be idle."""
        if self._meter is not None:
            self._start = (self._meter.energy_j(), self._meter.power_w())

    def end(self, calls: int, duration_s: float) -> None:
        """Read the meter after a block of ``calls`` calls; the device must be idle."""
        if self._meter is None:
            return
        joules, watts = self._meter.energy_j(), self._meter.power_w()
        counter, power = self._start
        if joules is not None and counter is not None:
            # A counter that runs backwards was reset, which happens if the driver is reloaded.
            used = joules - counter if joules >= counter else None
        elif watts is not None and power is not None:
            self._counted = False
            used = (power + watts) / 2 * duration_s
        else:
            used = None
        self._blocks.append(None if used is None else BlockEnergy(used, calls))

    @property
    def blocks(self) -> tuple[BlockEnergy, ...]:
        """Blocks of the run, in order; empty if one of them could not be measured."""
        known = [block for block in self._blocks if block is not None]
        return tuple(known) if len(known) == len(self._blocks) else ()

    @property
    def method(self) -> str:
        """``counter``, or ``power``: mean power times time."""
        return "counter" if self._counted else "power"


def summarize_energy(
    blocks: Sequence[BlockEnergy], method: str, images_per_call: int
) -> EnergySummary | None:
    """Return joules per image over all blocks; ``None`` if there are no blocks.

    The interval is a bootstrap over blocks, which fewer than eight blocks do not have.
    """
    if not blocks:
        return None
    joules = [block.joules for block in blocks]
    images = [float(block.calls * images_per_call) for block in blocks]
    return EnergySummary(
        joules_per_image=sum(joules) / sum(images),
        ci95=bootstrap_ratio_ci(joules, images),
        n=len(blocks),
        method=method,
        blocks_j=tuple(joules),
    )
