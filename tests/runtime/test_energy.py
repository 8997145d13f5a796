"""Energy per image: from a counter, from power and time, or not at all."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.runtime.meters import ReplayedMeter, SilentMeter
from turbo_lab.environment import Fingerprint
from turbo_lab.runtime.energy import BlockEnergy, EnergyLog, open_meter, summarize_energy
from turbo_lab.runtime.paired_timing import METERED_BLOCK_S, PairedEnergy, compare_calls
from turbo_lab.runtime.timing import RULES, CallTiming, TimingRule, measure_call, timing
from turbo_lab.store.record import document, read_timing

RULE = TimingRule("t", 1, 1.0, 1, 1.0, 30, 3.0)


class Calls:
    """Calls of a known length, on a clock that passes only within them."""

    def __init__(self, spread: float = 0.0) -> None:
        self.now_ns, self._draws, self._spread = 0, random.Random(0), spread

    def clock(self) -> int:
        return self.now_ns

    def now_s(self) -> float:
        return self.now_ns / 1e9

    def take(self, seconds: float) -> None:
        factor = self._draws.uniform(1 - self._spread, 1 + self._spread)
        self.now_ns += round(seconds * factor * 1e9)


def measured(meter: ReplayedMeter | SilentMeter, calls: Calls, seconds: float = 0.1) -> CallTiming:
    return measure_call(lambda: calls.take(seconds), RULE, clock=calls.clock, meter=meter)


def test_joules_per_image_by_hand() -> None:
    """0.1 s at 300 W is 30 J, for a call of four images 7.5 each."""
    calls = Calls(spread=0.1)
    taken = measured(ReplayedMeter(calls.now_s), calls)
    record = timing(taken, "c" * 64, 4, Fingerprint({}, {}))
    assert record.energy is not None and record.energy.method == "counter"
    assert record.energy.joules_per_image == pytest.approx(7.5, rel=0.03)
    assert record.energy.joules_per_image == pytest.approx(
        300 * sum(taken.samples_s) / (4 * len(taken.samples_s))
    )
    low, high = record.energy.ci95 or (0.0, 0.0)
    assert 7.0 < low < record.energy.joules_per_image < high < 8.0
    assert record.energy.n == len(record.energy.blocks_j) >= 8
    assert sum(record.energy.blocks_j) == pytest.approx(300 * taken.wall_s)
    assert read_timing(document("timing", record), "here") == record


def test_the_rule_full_always_has_an_interval() -> None:
    for milliseconds in (1, 12, 70, 90, 99, 110, 250, 700):
        calls = Calls()
        taken = measure_call(
            lambda calls=calls, s=milliseconds / 1e3: calls.take(s),
            replace(RULES["full"], collect_all=False),
            clock=calls.clock,
            meter=ReplayedMeter(calls.now_s),
        )
        found = summarize_energy(taken.energy_blocks, taken.energy_method, 1)
        assert found is not None and found.ci95 is not None, milliseconds
        assert found.joules_per_image == pytest.approx(0.3 * milliseconds)


def test_without_a_counter_it_is_mean_power_times_time_and_says_so() -> None:
    calls = Calls()
    taken = measured(ReplayedMeter(calls.now_s, watts=200.0, has_counter=False), calls)
    found = summarize_energy(taken.energy_blocks, taken.energy_method, images_per_call=1)
    assert found is not None and found.method == "power"
    assert found.joules_per_image == pytest.approx(20.0)


def test_a_device_that_reports_nothing_has_no_figure() -> None:
    calls = Calls()
    taken = measured(SilentMeter(), calls)
    assert taken.energy_blocks == ()
    assert timing(taken, "c" * 64, 1, Fingerprint({}, {})).energy is None
    assert open_meter("cpu") is None
    assert timing(measure_call(lambda: None), "c" * 64, 1, Fingerprint({}, {})).energy is None


def test_a_counter_that_was_reset_gives_no_figure() -> None:
    calls = Calls()
    meter = ReplayedMeter(calls.now_s, resets=[1.05])
    assert measured(meter, calls).energy_blocks == ()


def test_work_between_blocks_is_not_charged_to_them() -> None:
    calls = Calls()
    log = EnergyLog(ReplayedMeter(calls.now_s, watts=100.0))
    for _ in range(2):
        log.begin()
        calls.take(1.0)
        log.end(5, 1.0)
        calls.take(10.0)  # reading the machine's state
    assert log.blocks == (BlockEnergy(100.0, 5),) * 2


def test_two_calls_in_one_run() -> None:
    """B takes twice the time at the same power; blocks are long enough for the counter."""
    calls = Calls(spread=0.05)
    found = compare_calls(
        lambda: calls.take(0.01),
        lambda: calls.take(0.02),
        TimingRule("t", 1, 1.0, 1, 0.0, 6, 0.1),
        clock=calls.clock,
        meter=ReplayedMeter(calls.now_s),
    )
    assert found.energy is not None and found.energy.method == "counter"
    assert found.energy.ratio == pytest.approx(2, abs=0.05)
    low, high = found.energy.ci95 or (0.0, 0.0)
    assert 1.9 < low <= found.energy.ratio <= high < 2.1
    assert found.calls_a_block * 0.0105 >= METERED_BLOCK_S
    assert found.energy.blocks_a_j[0] == pytest.approx(3.0, rel=0.1)


def test_a_pair_without_a_meter_or_with_a_silent_one_has_no_energy() -> None:
    calls = Calls(spread=0.05)
    rule = TimingRule("t", 1, 1.0, 1, 0.0, 6, 0.0)
    for meter in (None, SilentMeter()):
        found = compare_calls(
            lambda: calls.take(0.1), lambda: calls.take(0.1), rule, clock=calls.clock, meter=meter
        )
        assert found.energy is None


def test_a_block_without_energy_has_a_ratio_and_no_interval() -> None:
    assert PairedEnergy((0.0, 2.0), (1.0, 1.0), "counter").ci95 is None


@pytest.mark.gpu
def test_a_real_card_reports_the_energy_of_its_work() -> None:
    import torch

    meter = open_meter("cuda")
    assert meter is not None, "install the extra gpu"
    left = torch.randn(8192, 8192, device="cuda", dtype=torch.float16)
    taken = measure_call(lambda: left @ left, RULE, device="cuda")
    busy = summarize_energy(taken.energy_blocks, taken.energy_method, images_per_call=1)
    assert busy is not None and busy.ci95 is not None
    assert busy.method == "counter"
    assert 50 < sum(busy.blocks_j) / taken.wall_s < 1500  # watts
