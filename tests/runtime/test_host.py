"""Memory peaks, other processes and the CPU, as far as a system tells."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from turbo_lab.runtime.host import CpuReading, HostLoad, read_cpu, running_names

_A_PEAK_OF_64_MIB = """
import numpy as np
from turbo_lab.runtime.host import PeakMemory
memory = PeakMemory("cpu")
before = memory.peaks().process
block = np.ones(64 << 17)
del block
print(before, memory.peaks().process, PeakMemory("cpu").peaks().process)
"""


def test_peak_memory_sees_what_was_freed_and_forgets_what_was_before() -> None:
    """In a process of its own: what other tests have freed is used again, or kept by malloc."""
    run = subprocess.run(
        [sys.executable, "-c", _A_PEAK_OF_64_MIB], capture_output=True, text=True, check=True
    )
    before, peak, after = map(int, run.stdout.split())
    size = 64 << 20
    assert peak - before >= 0.9 * size
    if Path("/proc/self/clear_refs").exists():
        assert after <= peak - 0.5 * size


def test_another_busy_process_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([(0.0, 0.0, 0.0), (1.0, 2.0, 0.9), (2.0, 3.0, 1.9)])
    monkeypatch.setattr(HostLoad, "_now", staticmethod(lambda: next(times)))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    load = HostLoad()
    assert load.warning() == "host busy: other processes used 1.1 of 2 cores"


@pytest.mark.parametrize("others,count", [(0.1, 2), (1.5, 64)])
def test_a_quiet_host_gives_no_warning(
    monkeypatch: pytest.MonkeyPatch, others: float, count: int
) -> None:
    times = iter([(0.0, 0.0, 0.0), (1.0, 1.0 + others, 1.0)])
    monkeypatch.setattr(HostLoad, "_now", staticmethod(lambda: next(times)))
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert HostLoad().warning() is None


def test_of_a_moment_the_load_average_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostLoad, "_now", staticmethod(lambda: (0.0, 0.0, 0.0)))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.5, 0.0, 0.0))
    assert HostLoad().warning() == "host busy: load average 3.5 on 4 cores"
    monkeypatch.setattr(os, "getloadavg", lambda: (1.0, 0.0, 0.0))
    assert HostLoad().warning() is None


def test_own_work_is_not_others_work() -> None:
    """Spinning here for a while adds to our own time only (others may be busy as well)."""
    load, start = HostLoad(), time.process_time()
    while time.process_time() - start < 0.2:
        pass
    others = load.other_cores()
    assert others is None or others <= (os.cpu_count() or 1)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_cpu_is_read_from_its_drivers(tmp_path: Path) -> None:
    cpus = "devices/system/cpu"
    files = {
        f"{cpus}/cpu0/cpufreq/scaling_cur_freq": "1200000\n",
        f"{cpus}/cpu1/cpufreq/scaling_cur_freq": "3400000\n",
        f"{cpus}/cpu0/thermal_throttle/core_throttle_count": "4\n",
        f"{cpus}/cpu0/thermal_throttle/package_throttle_count": "3\n",
        "class/hwmon/hwmon0/name": "nvme\n",
        "class/hwmon/hwmon0/temp1_input": "90000\n",
        "class/hwmon/hwmon1/name": "k10temp\n",
        "class/hwmon/hwmon1/temp1_input": "61500\n",
        "class/hwmon/hwmon1/temp2_input": "58000\n",
    }
    assert read_cpu(tmp_path, write(tmp_path, files)) == CpuReading(3400.0, 61.5, 7)


def test_a_virtual_machine_tells_its_clock_only(tmp_path: Path) -> None:
    cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2445.4\nprocessor\t: 1\ncpu MHz\t\t: 2500.0\n"
    write(tmp_path, {"cpuinfo": cpuinfo})
    assert read_cpu(tmp_path, tmp_path / "none") == CpuReading(2500.0, None, None)
    assert read_cpu(tmp_path / "none", tmp_path / "none") == CpuReading(None, None, None)


def test_a_running_process_is_named_once_and_by_its_name() -> None:
    spin = "print(flush=True)\nwhile True: pass"
    spinning = [
        subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for process in spinning:
            assert process.stdout is not None
            process.stdout.readline()  # from here on it does nothing but spin
        names = running_names(limit=10_000)
        own = psutil.Process(spinning[0].pid).name()
    finally:
        for process in spinning:
            process.kill()
            process.communicate()
    assert names.count(own) == 1
    assert len(running_names(limit=0)) == 0
