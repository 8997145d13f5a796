"""The timing lane: how long a call takes, with what is needed to believe it.

Owns warm-up, sampling and what a run's samples say. Shares nothing, sets no
determinism switch and keeps no image. Refuses to time work that is still on the
device: the clock stops after ``synchronize``.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from turbo_lab.analysis.stats import median_ci
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.identity import as_plain
from turbo_lab.progress import waiting
from turbo_lab.runtime.conditions import Conditions, ConditionsLog
from turbo_lab.runtime.energy import (
    BlockEnergy,
    EnergyLog,
    EnergyMeter,
    open_meter,
    summarize_energy,
)
from turbo_lab.runtime.host import MemoryPeaks, PeakMemory
from turbo_lab.runtime.stage_clock import StageClock
from turbo_lab.store.record import LatencySummary, Timing

P99_SAMPLES = 500
BLOCK_S = 0.3
"""Samples of about so long are one block: conditions and energy are read before and after it.
Eight of them fit into a full run, so that its energy has an interval."""
DRIFT = 0.05
"""Relative change of the median within a run, from which a warning is given."""


@dataclass(frozen=True)
class TimingRule:
    """When to stop warming up, and when there are enough samples."""

    name: str
    """Name of the rule: ``short``, ``full``, or one that the caller chose."""
    warmup_window: int
    """Number of last calls that must be stable."""
    warmup_spread: float
    """Largest spread of a stable window: (max - min) / median."""
    max_warmup_calls: int
    """Most warm-up calls, then a warning is given; the first call does not count."""
    max_warmup_s: float
    """Longest warm-up; one window always runs if ``max_warmup_calls`` allows it."""
    min_iterations: int
    """Fewest timed calls, however long they take."""
    min_duration_s: float
    """Fewest timed seconds, however many calls they take."""
    max_iterations: int = 100_000
    """Most timed calls, for calls that take next to no time."""
    collect_all: bool = False
    """``True``: collect all garbage first, not only young objects; 0.6 s with diffusers loaded."""

    def __post_init__(self) -> None:
        counts = (self.warmup_window, self.min_iterations, self.max_iterations)
        if min(counts) < 1 or self.max_warmup_calls < 0 or self.min_duration_s < 0:
            raise InputError(f"timing={self.name}: counts must be at least 1, durations positive")


RULES: Mapping[str, TimingRule] = {
    # One warm-up call after the first: in a sweep the model has just run. Six samples:
    # fewer have no 95% interval of the median. A cell of 10 ms calls takes 0.12 s.
    "short": TimingRule(
        name="short",
        warmup_window=1,
        warmup_spread=0.0,
        max_warmup_calls=1,
        max_warmup_s=0.0,
        min_iterations=6,
        min_duration_s=0.1,
    ),
    "full": TimingRule(
        name="full",
        warmup_window=5,
        warmup_spread=0.05,
        max_warmup_calls=50,
        max_warmup_s=10.0,
        min_iterations=30,
        min_duration_s=3.0,
        collect_all=True,
    ),
}


@dataclass(frozen=True)
class CallTiming:
    """The samples of one call, in seconds unless named otherwise."""

    latency_s: LatencySummary
    """Summary of ``samples_s``."""
    samples_s: tuple[float, ...]
    """Every timed call, in order."""
    wall_s: float
    """Time from the first timed call's start to the last one's end, readings left out."""
    first_call_s: float
    """The first call of all: compilation, caches, allocation."""
    warmup_s: tuple[float, ...]
    """Calls between the first and the timed ones."""
    stages_s: Mapping[str, float] | None
    """Mean of each stage; adds up to the mean latency. ``None`` if not split."""
    unet_steps_s: tuple[float, ...] | None
    """Mean of each UNet call within a call; ``None`` if not split, or not as many in each."""
    peaks: MemoryPeaks
    """Peaks of memory, warm-up included."""
    conditions: tuple[Conditions, ...]
    """State of the machine before the first block of samples and after each block."""
    warnings: tuple[str, ...]
    """Reasons to trust the measurements less."""
    host_busy: str | None = None
    """The warning that other processes were busy; ``None``: there is none."""
    energy_blocks: tuple[BlockEnergy, ...] = ()
    """Energy of each block; empty if the device has no meter."""
    energy_method: str = "counter"
    """Source of the energy: ``counter`` or ``power``."""

    @property
    def peak_memory_bytes(self) -> int:
        """Peak of the device's tensors if there is a device, else of the process."""
        return self.peaks.process if self.peaks.allocated is None else self.peaks.allocated


def timing_rule(name: str) -> TimingRule:
    """Return the rule ``short`` or ``full``; raises :class:`InputError` for another name."""
    if name not in RULES:
        raise unknown_name("timing", name, RULES)
    return RULES[name]


def measure_call(
    fn: Callable[[], object],
    rule: TimingRule = RULES["short"],
    device: str = "cpu",
    stages: StageClock | None = None,
    synchronize: Callable[[], object] | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
    meter: EnergyMeter | None = None,
) -> CallTiming:
    """Time ``fn()`` by a rule: first call, warm-up until stable, then samples.

    ``synchronize`` waits for the device (default: of ``device``; nothing on a
    CPU). ``stages``: an entered clock of the pipeline that ``fn`` calls. The
    garbage collector is paused while calls are made, after one collection. The
    clock is a parameter for tests; nanoseconds. ``meter``: that of ``device`` if ``None``.
    """
    wait = synchronize or synchronizer(device)
    memory, conditions = PeakMemory(device), ConditionsLog(device)
    energy = EnergyLog(open_meter(device) if meter is None else meter)
    with no_garbage_collection(2 if rule.collect_all else 1):
        with waiting("first call (compiling, capturing or filling caches)"):
            first_ns = call_ns(fn, wait, clock)
        with waiting("timing calls"):
            warmup_ns, stable = warm_up(fn, wait, clock, rule)
            if stages is not None:
                stages.reset()
            conditions.read()
            samples_ns, wall_ns = _sample(
                fn, wait, clock=clock, rule=rule, energy=energy, between_blocks=conditions.read
            )
            conditions.read()
    samples_s = tuple(value / 1e9 for value in samples_ns)
    latency_s = summarize(samples_s)
    unstable = [] if stable else [unstable_warning(rule, warmup_ns)]
    disturbances = conditions.disturbances()
    return CallTiming(
        latency_s=latency_s,
        samples_s=samples_s,
        wall_s=wall_ns / 1e9,
        first_call_s=first_ns / 1e9,
        warmup_s=tuple(value / 1e9 for value in warmup_ns),
        stages_s=None if stages is None else stages.means(len(samples_s), latency_s.mean),
        unet_steps_s=None if stages is None else stages.unet_steps(len(samples_s)),
        peaks=memory.peaks(),
        conditions=conditions.readings,
        warnings=(*unstable, *drift_warnings(samples_s), *disturbances.warnings),
        host_busy=disturbances.host_busy,
        energy_blocks=energy.blocks,
        energy_method=energy.method,
    )


def timing(
    call: CallTiming,
    cell_id: str,
    batch_size: int,
    fingerprint: Fingerprint,
    rule: str = "short",
) -> Timing:
    """Make the record of a cell whose call makes ``batch_size`` images."""
    return Timing(
        cell_id=cell_id,
        batch_size=batch_size,
        latency_s=call.latency_s,
        throughput_images_per_s=batch_size * call.latency_s.n / call.wall_s,
        samples_s=call.samples_s,
        stages_s=call.stages_s,
        first_call_s=call.first_call_s,
        peak_memory_bytes=call.peak_memory_bytes,
        fingerprint=fingerprint,
        warnings=call.warnings,
        host_busy=call.host_busy,
        rule=rule,
        wall_s=call.wall_s,
        warmup_s=call.warmup_s,
        unet_steps_s=call.unet_steps_s,
        peaks_bytes=as_plain(call.peaks),
        conditions=tuple(as_plain(call.conditions)),
        energy=summarize_energy(call.energy_blocks, call.energy_method, batch_size),
    )


def summarize(samples_s: tuple[float, ...]) -> LatencySummary:
    """Return the mean, percentiles (linear interpolation) and the median's 95% interval.

    The interval is from order statistics: no distribution is assumed, but calls
    are taken as independent. ``None`` below 6 samples; p99 below 500. Raises
    ``ValueError`` for none.
    """
    if not samples_s:
        raise ValueError("samples_s: there are none")
    p50, p90, p95, p99 = (float(v) for v in np.percentile(samples_s, [50, 90, 95, 99]))
    n = len(samples_s)
    return LatencySummary(
        mean=float(np.mean(samples_s)),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99 if n >= P99_SAMPLES else None,
        n=n,
        ci95=median_ci(samples_s),
    )


def drift_warnings(samples_s: tuple[float, ...]) -> list[str]:
    """Return a warning if the halves' medians differ beyond both intervals and 5%.

    Throttling, a growing cache, another process; halves below 12 samples are
    not compared.
    """
    half = len(samples_s) // 2
    if half < 12:
        return []
    first, second = samples_s[:half], samples_s[half:]
    before, after = float(np.median(first)), float(np.median(second))
    first_ci, second_ci = median_ci(first), median_ci(second)
    assert first_ci and second_ci
    apart = first_ci[1] < second_ci[0] or second_ci[1] < first_ci[0]
    if not before or not apart or abs(after / before - 1) <= DRIFT:
        return []
    return [
        f"drift: the median went from {before:.3g} s to {after:.3g} s ({after / before - 1:+.0%})"
    ]


def synchronizer(device: str) -> Callable[[], object] | None:
    """Return a function that waits for a device; ``None`` for a CPU, which needs none."""
    if device.startswith("cpu"):
        return None
    import torch

    kind = device.partition(":")[0]
    if kind == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if kind == "mps":
        return torch.mps.synchronize
    raise InputError(f"device={device}: must be cpu, cuda or mps")


def call_ns(
    fn: Callable[[], object], wait: Callable[[], object] | None, clock: Callable[[], int]
) -> int:
    """Return the nanoseconds of one call; wait for the device before and after it."""
    if wait is not None:
        wait()  # earlier work must not be charged to this call
    start = clock()
    fn()
    if wait is not None:
        wait()
    return clock() - start


def warm_up(
    fn: Callable[[], object],
    wait: Callable[[], object] | None,
    clock: Callable[[], int],
    rule: TimingRule,
) -> tuple[list[int], bool]:
    """Call until stable by the rule, or give up; return durations in ns and the outcome."""
    taken: list[int] = []
    while len(taken) < rule.max_warmup_calls:
        taken.append(call_ns(fn, wait, clock))
        if len(taken) < rule.warmup_window:
            continue
        if _spread(taken[-rule.warmup_window :]) <= rule.warmup_spread:
            return taken, True
        if sum(taken) / 1e9 >= rule.max_warmup_s:
            break
    return taken, rule.max_warmup_calls == 0


def _sample(
    fn: Callable[[], object],
    wait: Callable[[], object] | None,
    clock: Callable[[], int],
    rule: TimingRule,
    energy: EnergyLog,
    between_blocks: Callable[[], object],
) -> tuple[list[int], int]:
    """Return durations in ns and the wall time of all blocks.

    The loop holds nothing but the two clock reads between a start and an end.
    """
    taken: list[int] = []
    floor_ns, block_ns, wall_ns = rule.min_duration_s * 1e9, BLOCK_S * 1e9, 0
    if wait is not None:
        wait()
    energy.begin()
    first = 0
    begin = end = clock()
    while len(taken) < rule.max_iterations:
        if len(taken) >= rule.min_iterations and wall_ns + end - begin >= floor_ns:
            break
        if end - begin >= block_ns:
            wall_ns += end - begin
            energy.end(len(taken) - first, (end - begin) / 1e9)
            between_blocks()
            first = len(taken)
            energy.begin()
            begin = end = clock()
        start = clock()
        fn()
        if wait is not None:
            wait()
        end = clock()
        taken.append(end - start)
    energy.end(len(taken) - first, (end - begin) / 1e9)
    return taken, wall_ns + end - begin


def _spread(window: list[int]) -> float:
    middle = float(np.median(window))
    return (max(window) - min(window)) / middle if middle else 0.0


def unstable_warning(rule: TimingRule, warmup_ns: list[int]) -> str:
    """Return the warning of a warm-up that never became stable."""
    spread = _spread(warmup_ns[-rule.warmup_window :])
    return (
        f"warm-up not stable after {len(warmup_ns)} calls: the last "
        f"{rule.warmup_window} spread {spread:.0%}, more than {rule.warmup_spread:.0%}"
    )


@contextmanager
def no_garbage_collection(generation: int) -> Iterator[None]:
    """Collect garbage up to ``generation`` first, and none inside."""
    gc.collect(generation)
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
