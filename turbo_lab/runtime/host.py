"""The state of the machine during a timed call: memory peaks, other processes, the CPU's clock.

Owns reading them. Says ``None`` where a system does not tell, never a guess. psutil reads the load
and the processes. Linux's own files give what psutil lacks: the peak of the resident set and its
reset, and the CPU's throttling. Its clock and temperature come from the same files, because psutil
would read every sensor of the machine, those of disks included.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

BUSY_CORES = 0.25
"""Other processes' use, in cores, from which a warning is given; on a large machine a
twentieth of its cores, since its daemons alone keep some busy."""
_BUSY_TIMES = ("user", "nice", "system", "irq", "softirq")


@dataclass(frozen=True)
class MemoryPeaks:
    """High-water marks of a run, in bytes."""

    process: int
    """Peak of the resident set; without Linux's reset, the peak since the process began."""
    allocated: int | None
    """Peak of the tensors on the device; ``None`` without one."""
    reserved: int | None
    """Peak of torch's allocator on the device, tensors or not; ``None`` without one."""


class PeakMemory:
    """High-water marks since construction."""

    def __init__(self, device: str) -> None:
        self._cuda = device if device.startswith("cuda") else None
        _reset_process_peak()
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats(self._cuda)

    def peaks(self) -> MemoryPeaks:
        """Return the peaks of the process, and of the device if there is one."""
        if self._cuda is None:
            return MemoryPeaks(_process_peak(), None, None)
        import torch

        return MemoryPeaks(
            process=_process_peak(),
            allocated=int(torch.cuda.max_memory_allocated(self._cuda)),
            reserved=int(torch.cuda.max_memory_reserved(self._cuda)),
        )


class HostLoad:
    """CPU use of all other processes since construction, in cores."""

    def __init__(self) -> None:
        self._start = self._now()

    def other_cores(self) -> float | None:
        """Return the mean number of cores that others kept busy; ``None`` below 50 ms.

        The system counts in ticks of 10 ms, so a shorter span has too few of them.
        """
        end = self._now()
        if end[0] - self._start[0] < 0.05:
            return None
        wall, busy, own = (after - before for after, before in zip(end, self._start, strict=True))
        return max(0.0, busy - own) / wall

    def busy_percent(self) -> float | None:
        """Return the share of all cores that were busy, in percent; ``None`` below 50 ms."""
        wall, busy, _ = (b - a for a, b in zip(self._start, self._now(), strict=True))
        return None if wall < 0.05 else min(100.0, 100 * busy / wall / (os.cpu_count() or 1))

    def warning(self) -> str | None:
        """Return a warning if others kept more than :func:`busy_threshold` busy, else ``None``."""
        others, count = self.other_cores(), os.cpu_count() or 1
        if others is not None and others > busy_threshold():
            return f"host busy: other processes used {others:.1f} of {count} cores"
        if others is None and hasattr(os, "getloadavg"):
            load = os.getloadavg()[0]  # one minute's mean, this process included
            if load > max(1.0, count / 2) + BUSY_CORES:
                return f"host busy: load average {load:.1f} on {count} cores"
        return None

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Return (wall time, CPU time of all processes, own CPU time) in seconds."""
        times = psutil.cpu_times()  # not every system has all of these fields
        busy = sum(getattr(times, name, 0.0) for name in _BUSY_TIMES)
        usage = os.times()
        own = usage.user + usage.system + usage.children_user + usage.children_system
        return time.perf_counter(), busy, own


def busy_threshold() -> float:
    """Return the cores of other processes' work above which measurements are disturbed."""
    return max(BUSY_CORES, (os.cpu_count() or 1) / 20)


def running_names(limit: int = 3) -> list[str]:
    """Return the names of other processes that run at this moment.

    Only what this process may see: the neighbours of a container stay unnamed.
    """
    names = (
        process.info["name"]
        for process in psutil.process_iter(["name", "status"])
        if process.info["status"] == psutil.STATUS_RUNNING and process.pid != os.getpid()
    )
    return list(dict.fromkeys(name for name in names if name))[:limit]


@dataclass(frozen=True)
class CpuReading:
    """State at one moment; ``None`` for a value that the system does not report."""

    clock_mhz: float | None
    """Clock of the fastest core; an idle core is slow and says nothing."""
    temperature_c: float | None
    """Temperature of the package."""
    throttle_events: int | None
    """Number of throttling events since the machine started."""


def read_cpu(proc: Path = Path("/proc"), sys_root: Path = Path("/sys")) -> CpuReading:
    """Read ``/sys`` and ``/proc`` of Linux; virtual machines often report the clock only."""
    cpus = sys_root / "devices/system/cpu"
    clocks = [value / 1e3 for value in _numbers(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
    if not clocks and (proc / "cpuinfo").exists():
        lines = (proc / "cpuinfo").read_text().splitlines()
        clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    throttled = _numbers(cpus.glob("cpu0/thermal_throttle/*_throttle_count"))
    return CpuReading(
        clock_mhz=max(clocks, default=None),
        temperature_c=_cpu_temperature(sys_root),
        throttle_events=int(sum(throttled)) if throttled else None,
    )


def _cpu_temperature(sys_root: Path) -> float | None:
    """Read degrees Celsius: the drivers of Intel's and AMD's package sensors, then Arm's zones."""
    for folder in sorted(sys_root.glob("class/hwmon/hwmon*")):
        if _text(folder / "name") in ("coretemp", "k10temp", "zenpower"):
            return max((v / 1e3 for v in _numbers(folder.glob("temp*_input"))), default=None)
    for folder in sorted(sys_root.glob("class/thermal/thermal_zone*")):
        if (_text(folder / "type") or "").startswith(("x86_pkg_temp", "cpu")):
            return max((v / 1e3 for v in _numbers([folder / "temp"])), default=None)
    return None


def _numbers(paths: Iterable[Path]) -> list[float]:
    texts = (_text(path) for path in paths)
    return [float(text) for text in texts if text and text.lstrip("-").isdigit()]


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:  # a sensor that is listed and does not answer
        return None


def _process_peak() -> int:
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource  # absent on Windows; needed only where there is no /proc

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _reset_process_peak() -> None:
    """Reset the resident-set peak, as Linux does on this write (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # another system, or not permitted: the peak since the start is read
        return
