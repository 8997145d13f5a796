"""What the machine did while a call was timed: memory peaks and other processes.

Owns reading them, from ``/proc`` on Linux and from the standard library
elsewhere. Says ``None`` where a system does not tell, never a guess.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

BUSY_CORES = 0.25
"""Other processes' use, in cores, from which a warning is given; on a large machine a
twentieth of its cores, since its daemons alone keep some busy."""


class PeakMemory:
    """High-water mark since construction: device allocations on CUDA, else the process."""

    def __init__(self, device: str) -> None:
        self._cuda = device if device.startswith("cuda") else None
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats(self._cuda)
        else:
            _reset_process_peak()

    def read(self) -> int:
        """Bytes. Without Linux's reset it is the process's peak since its start."""
        if self._cuda:
            import torch

            return int(torch.cuda.max_memory_allocated(self._cuda))
        status = _proc("self/status") or ""
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        import resource  # absent on Windows; needed only where there is no /proc

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class HostLoad:
    """CPU use of all other processes since construction, in cores."""

    def __init__(self) -> None:
        self._start = self._now()

    def other_cores(self) -> float | None:
        """Mean cores that others kept busy; ``None`` where the system does not tell.

        From ``/proc/stat``, whose ticks are 10 ms: blind below a few of them.
        """
        end = self._now()
        if self._start is None or end is None or end[0] - self._start[0] < 0.05:
            return None
        wall, busy, own = (after - before for after, before in zip(end, self._start, strict=True))
        return max(0.0, busy - own) / wall

    def warnings(self) -> list[str]:
        """One line if others kept more than :data:`BUSY_CORES` busy, else none."""
        others, count = self.other_cores(), os.cpu_count() or 1
        if others is not None and others > max(BUSY_CORES, count / 20):
            return [f"host busy: other processes used {others:.1f} of {count} cores"]
        if others is None and hasattr(os, "getloadavg"):
            load = os.getloadavg()[0]  # one minute's mean, this process included
            if load > max(1.0, count / 2) + BUSY_CORES:
                return [f"host busy: load average {load:.1f} on {count} cores"]
        return []

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """(wall, everybody's CPU, own CPU) in seconds."""
        text = _proc("stat")
        if text is None or not text.startswith("cpu "):
            return None
        user, nice, system, _idle, _wait, irq, softirq = (int(v) for v in text.split()[1:8])
        ticks = user + nice + system + irq + softirq
        usage = os.times()
        own = usage.user + usage.system + usage.children_user + usage.children_system
        return time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK"), own


def _reset_process_peak() -> None:
    """Linux resets the resident-set peak on this write (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # another system, or not permitted: the peak since the start is read
        return


def _proc(name: str) -> str | None:
    try:
        return Path("/proc", name).read_text()
    except OSError:  # not Linux
        return None
