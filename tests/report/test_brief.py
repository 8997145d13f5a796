"""Compact table of a sweep: how values and intervals print."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.results import TIMING, sweep_result, with_cell
from turbo_lab.report.brief import brief_table, interval_text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.5, 0.4, 0.6, " ±0.1"),
        (57.2, 20.4, 54.4, " [20.4, 54.4]"),  # a basic bootstrap of a biased metric
        (0.9, 0.7, 0.95, " [0.7, 0.95]"),
    ],
)
def test_an_interval_is_plus_minus_only_if_it_is_centred(
    value: float, low: float, high: float, text: str
) -> None:
    assert interval_text(value, low, high) == text


def test_the_note_on_other_processes_is_the_one_that_the_timing_names() -> None:
    busy = "host busy: other processes used 1.0 of 2 cores"
    timing = replace(TIMING, warnings=("a busy GPU", busy), host_busy=busy)
    noted = with_cell(sweep_result(None), 0, timing=timing)
    assert brief_table(noted.cells).notes[-1] == f"! latency: {busy}"
    quiet = with_cell(noted, 0, timing=replace(timing, host_busy=None))
    assert brief_table(quiet.cells).notes == brief_table(sweep_result(None).cells).notes
