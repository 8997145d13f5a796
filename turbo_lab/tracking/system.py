"""State of the machine during a timing, under the names of MLflow's own system metrics.

MLflow samples on a thread, which would run inside timed calls. These values come from the readings
that the timing lane takes between its blocks of calls, so nothing runs while a call is timed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from turbo_lab.documents.timing import CellTiming

if TYPE_CHECKING:
    from mlflow.entities import Metric

PREFIX = "system/"
"""Beginning of the names that MLflow's page shows under "System metrics"."""
_MEGABYTE = 1e6


def system_metrics(timing: CellTiming | None) -> list[Metric]:
    """Return one point per reading and value; the step counts the readings."""
    from mlflow.entities import Metric

    readings = () if timing is None else timing.conditions
    return [
        Metric(PREFIX + name, value, int(at * 1e3), step)
        for step, reading in enumerate(readings)
        if (at := _number(reading, "at")) is not None
        for name, value in _values(reading)
    ]


def _values(reading: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Yield the values that a reading has, by MLflow's name."""
    gpu = reading.get("gpu")
    device: Mapping[str, object] = gpu if isinstance(gpu, Mapping) else {}
    used, total = _number(device, "memory_used_bytes"), _number(device, "memory_total_bytes")
    found = {
        "cpu_utilization_percentage": _number(reading, "cpu_percent"),
        "system_memory_usage_megabytes": _scaled(_number(reading, "memory_used_bytes")),
        "system_memory_usage_percentage": _number(reading, "memory_percent"),
        "gpu_0_utilization_percentage": _number(device, "utilization_percent"),
        "gpu_0_memory_usage_megabytes": _scaled(used),
        "gpu_0_memory_usage_percentage": 100 * used / total if used and total else None,
        "gpu_0_power_usage_watts": _number(device, "power_w"),
    }
    yield from ((name, value) for name, value in found.items() if value is not None)


def _number(reading: Mapping[str, object], name: str) -> float | None:
    """Return a finite number of a reading; ``None`` for anything else in a stored document."""
    value = reading.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _scaled(num_bytes: float | None) -> float | None:
    return None if num_bytes is None else num_bytes / _MEGABYTE
