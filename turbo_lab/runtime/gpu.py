"""The state of an NVIDIA GPU at one moment: clocks, temperature, throttling, processes.

Owns the reading through NVML (package ``nvidia-ml-py``, the extra ``gpu``).
Without the package, a driver or a CUDA device there is no reader, and a value
that the device does not give is ``None``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h). Idling and clocks that someone
# has set do not count as throttling: they are left out.
_THROTTLE_BITS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


@dataclass(frozen=True)
class GpuReading:
    """State at one moment; ``None`` for a value that the device or driver does not report."""

    clock_mhz: float | None
    """Clock of the multiprocessors."""
    memory_clock_mhz: float | None
    """Clock of the memory."""
    temperature_c: float | None
    """Temperature of the die."""
    power_w: float | None
    """Power draw of the board."""
    throttle: tuple[str, ...] | None
    """Reasons why the clocks are held down; empty if they are not."""
    num_processes: int | None
    """Number of processes with a context on the device, this one included."""
    utilization_percent: float | None = None
    """Share of the driver's last sample during which a kernel ran, in percent."""
    memory_used_bytes: int | None = None
    """Memory of the device that is in use by any process, in bytes."""
    memory_total_bytes: int | None = None
    """Memory of the device, in bytes."""


class GpuReader:
    """Reader of one device; made by :func:`open_gpu`."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def read(self) -> GpuReading:
        """Read the state; takes about a millisecond, so never call it within a timed call."""
        nvml, handle = self._nvml, self._handle
        clock = nvml.nvmlDeviceGetClockInfo
        bits = self._ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        return GpuReading(
            clock_mhz=self._ask(lambda: clock(handle, nvml.NVML_CLOCK_SM)),
            memory_clock_mhz=self._ask(lambda: clock(handle, nvml.NVML_CLOCK_MEM)),
            temperature_c=self._ask(
                lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            ),
            power_w=self.power_w(),
            throttle=None if bits is None else throttle_reasons(int(bits)),
            num_processes=self._ask(lambda: len(nvml.nvmlDeviceGetComputeRunningProcesses(handle))),
            utilization_percent=self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
        )

    def energy_j(self) -> float | None:
        """Return the joules used since the driver was loaded; ``None`` before Volta."""
        counter = self._nvml.nvmlDeviceGetTotalEnergyConsumption
        energy_mj = self._ask(lambda: counter(self._handle))
        return None if energy_mj is None else energy_mj / 1e3

    def power_w(self) -> float | None:
        """Return the power draw of the board in watts; ``None`` if it is not reported."""
        power_mw = self._ask(lambda: self._nvml.nvmlDeviceGetPowerUsage(self._handle))
        return None if power_mw is None else power_mw / 1e3

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._nvml.NVMLError:  # this device or this user may not read it
            return None


def open_gpu(device: str) -> GpuReader | None:
    """Return the reader of a torch device; ``None`` without NVML or a CUDA device."""
    if not device.startswith("cuda"):
        return None
    try:
        import pynvml as nvml  # of the extra "gpu"
    except ImportError:
        return None
    import torch

    # By identity: CUDA_VISIBLE_DEVICES renumbers torch's devices, not NVML's.
    uuid = f"GPU-{torch.cuda.get_device_properties(torch.device(device)).uuid}"
    try:
        nvml.nvmlInit()
        return GpuReader(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid.encode()))
    except nvml.NVMLError:  # no driver library here, or a slice of a device
        return None


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Return the words for the bits of NVML's mask."""
    return tuple(words for bit, words in _THROTTLE_BITS.items() if bits & bit)
