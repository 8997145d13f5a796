"""When the process of a command began, so that its total holds the start of Python."""

from __future__ import annotations

import os
import time
from pathlib import Path

# Place of the start time among the fields of /proc/PID/stat after the name (proc(5): field 22).
_START_TIME = 19


def process_start() -> float:
    """Return when this process began, on the clock of ``time.perf_counter``.

    Without Linux's ``/proc``, it is the time of this call: the start of Python is left out.
    """
    now = time.perf_counter()
    try:
        # The name of the process, which is in parentheses, may hold spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[_START_TIME])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - max(0.0, since_boot - ticks / os.sysconf("SC_CLK_TCK"))
