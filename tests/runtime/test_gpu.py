"""Reading an NVIDIA GPU: the words of its bits, and what it does not tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from turbo_lab.runtime.gpu import GpuReader, GpuReading, open_gpu, throttle_reasons


class NvmlError(Exception):
    pass


def nvml(**answers: Any) -> SimpleNamespace:
    """The few functions of NVML that are asked; an exception is raised."""

    def answering(value: Any) -> Any:
        def ask(*arguments: Any) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return ask

    values = {
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x24,
        "nvmlDeviceGetPowerUsage": 350_500,
        "nvmlDeviceGetTotalEnergyConsumption": 12_345_678,
        "nvmlDeviceGetClockInfo": 1980,
        "nvmlDeviceGetTemperature": 55,
        "nvmlDeviceGetComputeRunningProcesses": [object(), object()],
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97, memory=40),
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=3 << 30, total=80 << 30),
    } | answers
    constants = {"NVML_CLOCK_SM": 1, "NVML_CLOCK_MEM": 2, "NVML_TEMPERATURE_GPU": 0}
    return SimpleNamespace(
        NVMLError=NvmlError, **constants, **{k: answering(v) for k, v in values.items()}
    )


def test_a_reading_has_units_for_people() -> None:
    reasons = ("power cap", "software thermal slowdown")
    assert GpuReader(nvml(), None).read() == GpuReading(
        1980, 1980, 55, 350.5, reasons, 2, 97, 3 << 30, 80 << 30
    )


def test_what_the_driver_refuses_is_none() -> None:
    refused = nvml(
        nvmlDeviceGetPowerUsage=NvmlError(),
        nvmlDeviceGetCurrentClocksThrottleReasons=NvmlError(),
        nvmlDeviceGetMemoryInfo=NvmlError(),
    )
    reading = GpuReader(refused, None).read()
    assert reading.power_w is None and reading.throttle is None and reading.clock_mhz == 1980
    assert reading.memory_used_bytes is None and reading.memory_total_bytes is None
    with pytest.raises(ZeroDivisionError):  # a bug of ours is no silence of the driver's
        GpuReader(nvml(nvmlDeviceGetPowerUsage=ZeroDivisionError()), None).read()


def test_energy_is_in_joules_and_absent_before_volta() -> None:
    assert GpuReader(nvml(), None).energy_j() == 12_345.678
    refused = nvml(nvmlDeviceGetTotalEnergyConsumption=NvmlError())
    assert GpuReader(refused, None).energy_j() is None
    assert GpuReader(refused, None).power_w() == 350.5


def test_idling_and_set_clocks_are_no_throttling() -> None:
    assert throttle_reasons(0x01 | 0x02 | 0x100) == ()
    assert throttle_reasons(0x08 | 0x40) == ("hardware slowdown", "hardware thermal slowdown")


def test_there_is_no_reader_of_a_cpu() -> None:
    assert open_gpu("cpu") is None
