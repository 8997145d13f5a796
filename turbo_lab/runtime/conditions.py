"""Record the conditions of a timing run's blocks, and warn if they make its measurements doubtful.

Owns one reading per block (clocks, temperatures, throttling, load) and the
warnings drawn from them. A reading is taken between timed calls, never in one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from turbo_lab.runtime.gpu import GpuReading, open_gpu
from turbo_lab.runtime.host import CpuReading, HostLoad, busy_threshold, read_cpu, running_names

CLOCK_DRIFT = 0.1
"""Spread of a clock within a run, relative to its highest, from which a warning is given."""
_IDLE = "end them and time again: turbo-lab bench"
TEMPERATURE_RISE_C = 10.0
"""Rise within a run, from which a warning is given."""


@dataclass(frozen=True)
class Conditions:
    """One reading of the machine's state; ``None`` for a value that it does not report."""

    load_average: float | None
    """Load average of the host over one minute, this process included."""
    other_cores: float | None
    """Cores kept busy by other processes since the last reading; ``None`` for the first one."""
    cpu: CpuReading
    """Clock, temperature, throttling."""
    gpu: GpuReading | None
    """State of the device; ``None`` on a CPU or without NVML."""
    at: float | None = None
    """Moment of the reading, in seconds since 1970 UTC."""
    cpu_percent: float | None = None
    """Share of all cores that were busy since the last reading, this process included, in
    percent; ``None`` for the first one."""
    memory_used_bytes: int | None = None
    """Memory of the machine that is in use, in bytes."""
    memory_percent: float | None = None
    """Share of the machine's memory that is in use, in percent."""


@dataclass(frozen=True)
class Disturbances:
    """Reasons to trust the measurements of a run less."""

    host_busy: str | None
    """Warning that other processes were busy; ``None``: they were not, or it is unknown."""
    drifts: tuple[str, ...]
    """Warnings of clocks, temperatures, throttling and a shared GPU."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings, that of other processes first."""
        return self.drifts if self.host_busy is None else (self.host_busy, *self.drifts)


class ConditionsLog:
    """The readings of one run; the host's load is counted from construction."""

    def __init__(self, device: str) -> None:
        self._gpu = open_gpu(device)
        self._run, self._block = HostLoad(), HostLoad()
        self._readings: list[Conditions] = []

    def read(self) -> None:
        """Take a reading; the first one when sampling begins, so that no clock is an idle GPU's."""
        others = self._block.other_cores() if self._readings else None
        busy = self._block.busy_percent() if self._readings else None
        memory = psutil.virtual_memory()
        self._block = HostLoad()
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        gpu = self._gpu.read() if self._gpu else None
        self._readings.append(
            Conditions(
                load_average=load,
                other_cores=others,
                cpu=read_cpu(),
                gpu=gpu,
                at=round(time.time(), 3),
                cpu_percent=busy,
                memory_used_bytes=int(memory.used),
                memory_percent=100 * memory.used / memory.total,
            )
        )

    @property
    def readings(self) -> tuple[Conditions, ...]:
        """Readings so far, in order."""
        return tuple(self._readings)

    def disturbances(self) -> Disturbances:
        """Return the disturbances by the load over the run, or else its worst block, and drifts."""
        busy = self._run.warning() or busy_blocks(self._readings)
        if busy is not None and (names := running_names()):
            busy = f"{busy} (running now: {', '.join(names)})"
        if busy is not None:
            busy = f"{busy}; {_IDLE}"
        return Disturbances(busy, tuple(drifts(self._readings)))


def busy_blocks(readings: Sequence[Conditions]) -> str | None:
    """Return a warning if other processes were busy in some blocks, else ``None``."""
    known = [r.other_cores for r in readings if r.other_cores is not None]
    busy = [cores for cores in known if cores > busy_threshold()]
    if not busy:
        return None
    return (
        f"host busy in {len(busy)} of {len(known)} blocks: other processes used up to "
        f"{max(busy):.1f} of {os.cpu_count() or 1} cores"
    )


def drifts(readings: Sequence[Conditions]) -> list[str]:
    """Return warnings of clocks, temperatures, throttling and a shared GPU."""
    cpus = [reading.cpu for reading in readings]
    gpus = [reading.gpu for reading in readings if reading.gpu is not None]
    lines = [
        *_clock_drift("CPU", [cpu.clock_mhz for cpu in cpus]),
        *_clock_drift("GPU", [gpu.clock_mhz for gpu in gpus]),
        *_clock_drift("GPU memory", [gpu.memory_clock_mhz for gpu in gpus]),
        *_warming("CPU", [cpu.temperature_c for cpu in cpus]),
        *_warming("GPU", [gpu.temperature_c for gpu in gpus]),
    ]
    events = _known([cpu.throttle_events for cpu in cpus])
    if events and events[-1] > events[0]:
        lines.append(f"CPU throttled {events[-1] - events[0]:.0f} times by its temperature")
    reasons = dict.fromkeys(words for gpu in gpus for words in gpu.throttle or ())
    if reasons:
        lines.append(f"GPU throttled: {', '.join(reasons)}")
    sharing = max(_known([gpu.num_processes for gpu in gpus]), default=0)
    if sharing > 1:
        lines.append(f"GPU shared: {sharing:.0f} processes have a context on it")
    return lines


def _clock_drift(name: str, values: Sequence[float | None]) -> list[str]:
    known = _known(values)
    if not known or min(known) >= (1 - CLOCK_DRIFT) * max(known):
        return []
    return [f"{name} clock drifted: {min(known):.0f} to {max(known):.0f} MHz"]


def _warming(name: str, values: Sequence[float | None]) -> list[str]:
    known = _known(values)
    if not known or max(known) - known[0] < TEMPERATURE_RISE_C:
        return []
    return [f"{name} warmed up: {known[0]:.0f} to {max(known):.0f} \N{DEGREE SIGN}C"]


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
