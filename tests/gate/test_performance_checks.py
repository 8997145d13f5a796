"""Checks of latency and memory with instruments that read what a test wants."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.gate.conftest import Inputs
from turbo_lab.gate.performance_checks import Instruments, check_latency, check_memory
from turbo_lab.verdict import Verdict

EQUAL, SLOWER = ([1.0] * 8, [1.0] * 8), ([2.0] * 8, [1.0] * 8)


def timing(*blocks: tuple[list[float], list[float]]) -> Instruments:
    """Return instruments whose runs read these blocks of the candidate and the baseline."""
    rest: Iterator[tuple[list[float], list[float]]] = iter(blocks)

    def time_sides(baseline: object, candidate: object) -> SimpleNamespace:
        candidate_s, baseline_s = next(rest)
        return SimpleNamespace(blocks_a_s=baseline_s, blocks_b_s=candidate_s, warnings=("busy",))

    return Instruments(time_sides=time_sides)


def test_a_latency_that_does_not_pass_is_repeated_and_says_so(small_gate: Inputs) -> None:
    """As on a machine that was busy during the first run."""
    inputs = small_gate("gate.latency=0.2", "gate.retries=1")
    row = check_latency(0.2, inputs, timing(SLOWER, EQUAL))
    assert (row.verdict, row.note) == (Verdict.PASS, "repeated; attempt 2 counts; busy")
    row = check_latency(0.2, inputs, timing(EQUAL))
    assert (row.verdict, row.note) == (Verdict.PASS, "busy")


def test_without_retries_the_first_run_counts(small_gate: Inputs) -> None:
    inputs = small_gate("gate.latency=0.2")
    row = check_latency(0.2, inputs, timing(SLOWER))
    assert (row.verdict, row.note) == (Verdict.REGRESSION, "busy")
    assert row.difference == pytest.approx(1.0)


def test_memory_is_judged_by_the_ratio_of_the_peaks(small_gate: Inputs) -> None:
    peaks = ([3 << 20] * 8, [2 << 20] * 8)
    instruments = Instruments(compare_footprints=lambda candidate, baseline: peaks)
    row = check_memory(0.1, small_gate("gate.memory=0.1"), instruments)
    assert (row.verdict, row.difference) == (Verdict.REGRESSION, 0.5)
    assert row.note == "mean peak 3.0 MiB, the baseline's 2.0 MiB"
