"""Sentences that every report shares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.results import sweep_result
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.report.sentences import time_taken


@pytest.fixture
def sweep() -> SweepResult:
    times = {"load_s": 30.2, "wall_s": 259.9, "timing_s": 380.1, "metrics_s": 14.0}
    return replace(sweep_result(None), **times, tracking_s=0.04, total_s=688.4)


def test_the_parts_of_a_sweeps_time_add_up(sweep: SweepResult) -> None:
    assert time_taken(sweep) == (
        "took 11 min 28 s: 30 s loading, 4 min 20 s drawing, 6 min 20 s timing, 14 s metrics, "
        "4.2 s other"
    )


def test_a_document_of_an_earlier_version_has_the_parts_it_knows(sweep: SweepResult) -> None:
    assert time_taken(replace(sweep, total_s=None)).startswith("took 11 min 24 s: 30 s loading")


def test_a_single_part_is_not_repeated(sweep: SweepResult) -> None:
    nothing = dict.fromkeys(("load_s", "wall_s", "timing_s", "metrics_s", "tracking_s"), 0.0)
    assert time_taken(replace(sweep, **nothing, total_s=1.2)) == "took 1.2 s"
