"""System metrics of a timing under MLflow's names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.tracking import MlflowClient

from tests.report.results import TIMING, sweep_result, with_cell
from turbo_lab.tracking import Tracker, TrackingSettings
from turbo_lab.tracking.system import PREFIX, system_metrics

GPU = {
    "utilization_percent": 97,
    "memory_used_bytes": 20e9,
    "memory_total_bytes": 80e9,
    "power_w": 350.5,
}
READINGS = (
    {"at": 1000.0, "cpu_percent": None, "memory_used_bytes": 2e9, "memory_percent": 25.0},
    {"at": 1001.5, "cpu_percent": 60.0, "memory_used_bytes": 3e9, "memory_percent": 37.5},
)


def test_each_reading_is_a_step_of_mlflows_own_metrics() -> None:
    points = system_metrics(replace(TIMING, conditions=READINGS))
    found = {(one.key, one.step): (one.value, one.timestamp) for one in points}
    assert found[PREFIX + "cpu_utilization_percentage", 1] == (60.0, 1_001_500)
    assert found[PREFIX + "system_memory_usage_megabytes", 0] == (2000.0, 1_000_000)
    assert (PREFIX + "cpu_utilization_percentage", 0) not in found
    monitor = CPUMonitor()
    monitor.collect_metrics()
    assert {key for key, _ in found} == {PREFIX + name for name in monitor.aggregate_metrics()}


def test_a_gpu_has_the_names_of_mlflows_first() -> None:
    points = system_metrics(replace(TIMING, conditions=({**READINGS[1], "gpu": GPU},)))
    found = {one.key: one.value for one in points}
    assert found["system/gpu_0_utilization_percentage"] == 97
    assert found["system/gpu_0_memory_usage_megabytes"] == 20_000
    assert found["system/gpu_0_memory_usage_percentage"] == 25
    assert found["system/gpu_0_power_usage_watts"] == 350.5


def test_readings_of_earlier_versions_and_nonsense_are_left_out() -> None:
    old = {"load_average": 0.5, "gpu": None}
    odd = {"at": 1.0, "cpu_percent": "inf", "memory_percent": True, "gpu": [1]}
    assert system_metrics(replace(TIMING, conditions=(old, odd))) == []
    assert system_metrics(None) == []


def test_a_replay_adds_no_step(tmp_path: Path) -> None:
    sweep = with_cell(sweep_result(tmp_path), 0, timing=replace(TIMING, conditions=READINGS))
    settings = TrackingSettings.local(tmp_path, "none")
    ids = Tracker(settings).project(sweep)
    assert Tracker(settings).project(sweep) == ids
    history = MlflowClient(settings.uri).get_metric_history(
        ids["a0"], "system/system_memory_usage_percentage"
    )
    assert [(one.step, one.value) for one in history] == [(0, 25.0), (1, 37.5)]
