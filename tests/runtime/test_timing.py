"""The timing lane: rules on a clock of ours, its own cost, stages, memory and load."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.runtime.clocks import FakeTime, steady
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError
from turbo_lab.runtime import timing as module
from turbo_lab.runtime.timing import (
    RULES,
    TimingRule,
    measure_call,
    summarize,
    synchronizer,
    timing,
    timing_rule,
)
from turbo_lab.store.record import document, read_timing


def run(fake: FakeTime, rule: TimingRule, **options: Any) -> module.CallTiming:
    return measure_call(fake.work, rule, clock=fake.clock, **options)


def test_first_call_warm_up_and_samples_are_apart() -> None:
    fake = FakeTime(steady(500.0, 40.0, 20.0, 11.0, 10.0))
    call = run(fake, TimingRule("t", 2, 0.25, 10, 10.0, 6, 0.0))
    assert call.first_call_s == 0.5
    assert call.warmup_s == (0.04, 0.02, 0.011, 0.01)  # 11 and 10 lie within 25%
    assert call.samples_s == (0.01,) * 6 and call.latency_s.mean == pytest.approx(0.01)
    assert call.wall_s == pytest.approx(0.06)
    assert not any("warm-up" in text for text in call.warnings)


def test_both_floors_hold() -> None:
    few_long = run(FakeTime(steady(then=1000.0)), TimingRule("t", 1, 1.0, 1, 1.0, 6, 0.5))
    assert few_long.latency_s.n == 6
    many_short = run(FakeTime(steady(then=1.0)), TimingRule("t", 1, 1.0, 1, 1.0, 6, 0.5))
    assert many_short.latency_s.n == 500
    capped = run(FakeTime(steady(then=0.0)), TimingRule("t", 1, 1.0, 1, 1.0, 6, 0.5, 50))
    assert capped.latency_s.n == 50


def test_a_warm_up_that_never_settles_is_a_warning() -> None:
    def swing() -> Iterator[float]:
        while True:
            yield 10.0
            yield 30.0

    call = run(FakeTime(swing()), TimingRule("t", 2, 0.1, 4, 10.0, 6, 0.0))
    assert len(call.warmup_s) == 4
    assert call.warnings[0] == (
        "warm-up not stable after 4 calls: the last 2 spread 100%, more than 10%"
    )


def test_a_drift_within_the_run_is_a_warning() -> None:
    """20 calls of 10 ms, then 12 ms: throttled half-way."""
    rule = TimingRule("t", 1, 0.0, 1, 0.0, 40, 0.0)
    call = run(FakeTime(steady(*(10.0,) * 22, then=12.0)), rule)
    assert "drift: the median went from 0.01 s to 0.012 s (+20%)" in call.warnings
    noise = np.random.default_rng(0).normal(1.0, 0.1, 400)
    assert module.drift_warnings(tuple(noise)) == []
    assert module.drift_warnings((1.0, 2.0) * 5) == []


def test_short_is_short() -> None:
    """10 ms calls: first, one of warm-up, ten samples."""
    fake = FakeTime(steady())
    run(fake, RULES["short"])
    assert fake.now_ns / 1e9 <= 0.25 and fake.calls >= 6


def test_percentiles_by_hand() -> None:
    summary = summarize(tuple(float(i) for i in range(1, 101)))
    assert (summary.mean, summary.p50) == (50.5, 50.5)
    assert summary.p90 == pytest.approx(90.1) and summary.p95 == pytest.approx(95.05)
    assert summary.p99 is None and summary.n == 100
    assert summary.ci95 == (40.0, 61.0)  # the 40th and 61st value: the textbook interval
    assert summarize((1.0,) * 5).ci95 is None
    assert summarize(tuple(np.linspace(0, 1, 500))).p99 == pytest.approx(0.99)
    with pytest.raises(ValueError, match="none"):
        summarize(())


def test_throughput_is_from_total_wall_time() -> None:
    call = run(FakeTime(steady()), TimingRule("t", 1, 1.0, 1, 1.0, 8, 0.0))
    record = timing(call, "c" * 64, 4, Fingerprint({}, {}))
    assert record.throughput_images_per_s == pytest.approx(4 * 8 / 0.08)
    assert read_timing(document("timing", record), "here") == record


def test_conditions_are_read_between_blocks_and_cost_no_time_of_the_run() -> None:
    fake = FakeTime(steady(then=200.0))
    call = run(fake, TimingRule("t", 1, 1.0, 1, 1.0, 10, 0.0))
    # Two calls of 0.2 s are a block: before them, after the 2nd, 4th, 6th and 8th, and at the end.
    assert len(call.conditions) == 6 and call.wall_s == pytest.approx(2.0)
    assert call.conditions[0].other_cores is None
    record = timing(call, "c" * 64, 1, Fingerprint({}, {}))
    assert set(record.conditions[0]) == {
        "at",
        "load_average",
        "other_cores",
        "cpu",
        "cpu_percent",
        "memory_used_bytes",
        "memory_percent",
        "gpu",
    }
    assert record.peaks_bytes == {
        "process": call.peak_memory_bytes,
        "allocated": None,
        "reserved": None,
    }


def test_the_clock_stops_after_the_device_is_waited_for() -> None:
    fake = FakeTime(steady(then=1.0))
    pending = []

    def launch() -> None:
        pending.append(9_000_000)

    def wait() -> None:
        while pending:
            fake.now_ns += pending.pop()

    call = measure_call(
        launch, TimingRule("t", 1, 1.0, 1, 1.0, 6, 0.0), synchronize=wait, clock=fake.clock
    )
    assert call.samples_s == (0.009,) * 6


def test_garbage_collection_rests_and_comes_back() -> None:
    seen = []
    measure_call(lambda: seen.append(gc.isenabled()), TimingRule("t", 1, 9.0, 1, 1.0, 6, 0.0))
    assert not any(seen) and gc.isenabled()
    with pytest.raises(KeyError):
        measure_call(lambda: {}["x"])
    assert gc.isenabled()


def test_names_and_devices() -> None:
    assert timing_rule("full").min_iterations >= 30
    with pytest.raises(InputError, match=r"timing=shorty: unknown. Did you mean short"):
        timing_rule("shorty")
    with pytest.raises(InputError, match="counts must be at least 1"):
        TimingRule("t", 1, 0.1, 1, 1.0, 0, 0.0)
    assert synchronizer("cpu") is None
    with pytest.raises(InputError, match="device=xpu"):
        synchronizer("xpu")
