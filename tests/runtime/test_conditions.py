"""What of a run's conditions is a warning."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from turbo_lab.runtime import conditions
from turbo_lab.runtime.conditions import (
    Conditions,
    ConditionsLog,
    Disturbances,
    busy_blocks,
    drifts,
)
from turbo_lab.runtime.gpu import GpuReading
from turbo_lab.runtime.host import CpuReading

QUIET = Conditions(0.1, 0.0, CpuReading(3000.0, 60.0, 5), None)
GPU = GpuReading(1980.0, 2600.0, 55.0, 300.0, (), 1)


def cpu(**changes: object) -> Conditions:
    return replace(QUIET, cpu=replace(QUIET.cpu, **changes))


def gpu(**changes: object) -> Conditions:
    return replace(QUIET, gpu=replace(GPU, **changes))


def test_steady_conditions_give_no_warning() -> None:
    assert drifts([QUIET, cpu(clock_mhz=2800.0), cpu(temperature_c=69.0)]) == []
    assert drifts([gpu(), gpu(clock_mhz=1900.0, temperature_c=64.0)]) == []
    silent = Conditions(None, None, CpuReading(None, None, None), None)
    assert drifts([silent, silent]) == [] and busy_blocks([silent]) is None


@pytest.mark.parametrize(
    ("last", "warning"),
    [
        (cpu(clock_mhz=2000.0), "CPU clock drifted: 2000 to 3000 MHz"),
        (cpu(temperature_c=75.0), "CPU warmed up: 60 to 75 \N{DEGREE SIGN}C"),
        (cpu(throttle_events=8), "CPU throttled 3 times by its temperature"),
    ],
)
def test_what_the_cpu_did(last: Conditions, warning: str) -> None:
    assert drifts([QUIET, last]) == [warning]


@pytest.mark.parametrize(
    ("last", "warning"),
    [
        (gpu(clock_mhz=1200.0), "GPU clock drifted: 1200 to 1980 MHz"),
        (gpu(memory_clock_mhz=1500.0), "GPU memory clock drifted: 1500 to 2600 MHz"),
        (gpu(temperature_c=70.0), "GPU warmed up: 55 to 70 \N{DEGREE SIGN}C"),
        (gpu(throttle=("power cap",)), "GPU throttled: power cap"),
        (gpu(num_processes=2), "GPU shared: 2 processes have a context on it"),
    ],
)
def test_what_the_gpu_did(last: Conditions, warning: str) -> None:
    assert drifts([gpu(), last]) == [warning]


def test_blocks_that_others_disturbed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    readings = [replace(QUIET, other_cores=others) for others in (None, 0.1, 1.5, 0.7)]
    assert busy_blocks(readings) == (
        "host busy in 2 of 3 blocks: other processes used up to 1.5 of 2 cores"
    )


def test_the_warning_of_other_processes_is_first_and_known_as_such() -> None:
    assert Disturbances("host busy", ("GPU throttled",)).warnings == ("host busy", "GPU throttled")
    assert Disturbances(None, ("GPU throttled",)).warnings == ("GPU throttled",)


def test_the_warning_of_other_processes_names_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "running_names", lambda: ["mypy"])
    log = ConditionsLog("cpu")
    monkeypatch.setattr(log._run, "warning", lambda: "host busy")
    assert log.disturbances().host_busy == (
        "host busy (running now: mypy); end them and time again: turbo-lab bench"
    )


def test_a_log_holds_a_reading_each() -> None:
    log = ConditionsLog("cpu")
    log.read()
    log.read()
    first, second = log.readings
    assert first.other_cores is None and first.gpu is None is second.gpu


def test_a_reading_tells_how_busy_the_machine_is() -> None:
    log = ConditionsLog("cpu")
    log.read()
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:  # work of this process counts as well
        pass
    log.read()
    first, second = log.readings
    assert first.cpu_percent is None
    assert second.cpu_percent is not None and 0 < second.cpu_percent <= 100
    assert second.memory_used_bytes is not None and second.memory_used_bytes > 1 << 20
    assert second.memory_percent is not None and 0 < second.memory_percent < 100
    assert first.at is not None and second.at is not None and second.at > first.at
