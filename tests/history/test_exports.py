"""Formats of dashboards, read by an OpenMetrics parser and as Bencher describes its JSON."""

from __future__ import annotations

import json

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.history.entries import entries, entry
from turbo_lab.history.exports import bencher, openmetrics
from turbo_lab.history.series import show

NASTY = 'a "quoted" \\ name\nwith lines'
SHOWN = show(
    [
        *entries([0.05, 0.06]),
        entry(5, 3e8, name="peak_memory", unit="bytes", ci95=None),
        entry(6, 0.9, name="fd/nano-clip", unit="", ci95=None, subject=NASTY, is_timed=False),
    ]
)


def test_openmetrics_can_be_parsed() -> None:
    families = {one.name: one for one in text_string_to_metric_families(openmetrics(SHOWN))}
    assert set(families) == {
        "turbo_lab_latency_seconds",
        "turbo_lab_latency_seconds_low",
        "turbo_lab_latency_seconds_high",
        "turbo_lab_peak_memory_bytes",
        "turbo_lab_fd_nano_clip",
    }
    (sample,) = families["turbo_lab_latency_seconds"].samples
    assert sample.value == 0.06
    assert sample.labels["subject"] == "num_images=1" and len(sample.labels["commit"]) == 40
    (nasty,) = families["turbo_lab_fd_nano_clip"].samples
    assert nasty.labels["subject"] == NASTY


def test_benchers_json_has_a_measure_per_figure() -> None:
    found = json.loads(bencher(SHOWN))
    assert found["num_images=1 on cpu x86-64, model 1, pool a"] == {
        "latency": {"value": 0.06, "lower_value": 0.06 * 0.98, "upper_value": 0.06 * 1.02},
        "peak_memory": {"value": 3e8},
    }
    assert len(found) == 2
