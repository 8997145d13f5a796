"""The start of a process, against the clock of the one that called it."""

from __future__ import annotations

import subprocess
import sys
import time


def test_a_process_began_before_its_first_line_and_after_its_parents_call() -> None:
    code = (
        "import time; first = time.perf_counter()\n"
        "from turbo_lab.cli.start import process_start\n"
        "print(process_start(), first)"
    )
    called = time.perf_counter()  # one clock for all processes of a Linux machine
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    began, first = map(float, output.split())
    tick_s = 0.02  # of the kernel's start time
    if sys.platform == "linux":
        assert called - tick_s <= began < first
    else:
        assert began >= first
