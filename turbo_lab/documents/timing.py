"""Latency and memory of a cell, as the ``sweep`` and ``bench`` documents show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turbo_lab.analysis.latency_fit import LineFit
from turbo_lab.documents.occasion import Occasion
from turbo_lab.store.record import CellStatus, EnergySummary, LatencySummary, Timing
from turbo_lab.untrusted.typed_json import INLINE, OMITTED

Interval = tuple[float, float]


@dataclass(frozen=True)
class CellTiming:
    """One run of the timing lane on a cell."""

    batch_size: int
    """Images per call."""
    stages_s: Mapping[str, float] | None
    """Mean time of ``text``, ``unet``, ``vae``, ``post`` and ``other`` per call, in seconds, and
    of ``encode`` with source images; they add up to the mean latency. ``None``: the call was not
    split into stages."""
    throughput_images_per_s: float
    """Images per second over all timed calls."""
    peak_memory_bytes: int
    """Peak memory of the device, or of the process on a CPU, in bytes."""
    first_call_s: float
    """Duration of the first call after loading, in seconds."""
    warnings: tuple[str, ...]
    """Disturbances of the timing: another busy process, throttling, drift."""
    unet_steps_s: tuple[float, ...] | None
    """Mean time of each UNet call within a call, in seconds. ``None``: not split, or the calls did
    not all have the same number of steps."""
    peaks_bytes: Mapping[str, int | None] | None
    """Peak of ``process``, ``allocated`` and ``reserved`` memory, in bytes; the last two are
    ``None`` without a GPU. ``None``: written by a version that did not record them."""
    conditions: tuple[Mapping[str, object], ...]
    """One reading per block of calls: load, clocks, temperatures, throttling."""
    energy: EnergySummary | None = None
    """Energy per image, in joules. ``None``: the device has no meter, as a CPU."""
    host_busy: str | None = None
    """Warning that other processes were busy, one of ``warnings``. ``None``: there is none, or
    written by a version that did not record it."""
    compile_s: float | None = None
    """Part of ``first_call_s`` that ``torch.compile`` took, in seconds; 0 if another cell had
    compiled the same. ``None``: nothing is compiled."""
    graph_pool_bytes: int | None = None
    """Device memory of the pipeline's CUDA graphs, in bytes. ``None``: it has none."""
    weights_bytes: int | None = None
    """Size of the pipeline's weights in memory, quantised ones with their scales, in bytes.
    ``None``: written by a version that did not record it."""
    timed_s: float | None = None
    """Duration of all calls, the first one and those of the warm-up included, in seconds.
    ``None``: written by a version that did not record it."""

    @classmethod
    def of(cls, timing: Timing) -> CellTiming:
        """Return a stored timing without its samples."""
        return cls(
            batch_size=timing.batch_size,
            stages_s=timing.stages_s,
            throughput_images_per_s=timing.throughput_images_per_s,
            peak_memory_bytes=timing.peak_memory_bytes,
            first_call_s=timing.first_call_s,
            warnings=timing.warnings,
            unet_steps_s=timing.unet_steps_s,
            peaks_bytes=timing.peaks_bytes,
            conditions=timing.conditions,
            energy=timing.energy,
            compile_s=timing.compile_s,
            graph_pool_bytes=timing.graph_pool_bytes,
            weights_bytes=timing.weights_bytes,
            host_busy=timing.host_busy,
            timed_s=None
            if timing.wall_s is None
            else timing.first_call_s + sum(timing.warmup_s) + timing.wall_s,
        )


@dataclass(frozen=True)
class BenchCell:
    """One timed cell."""

    axes: Mapping[str, object]
    """Values of the keys that vary, by key."""
    status: CellStatus
    """``done`` or ``failed``."""
    error: str | None
    """One line about the failure. ``None``: the cell was timed."""
    latency_s: LatencySummary | None
    """Wall time per call, in seconds. ``None``: the cell failed."""
    load_s: float | None = field(default=None, metadata=OMITTED)
    """Time of imports and loading, in seconds. Absent if the cell failed."""
    timing: CellTiming | None = field(default=None, metadata=INLINE)
    """Stages, throughput and memory. Absent if the cell failed."""

    @property
    def batch_size(self) -> int | None:
        """Number of images that a call generated; ``None`` if the cell failed."""
        return None if self.timing is None else self.timing.batch_size

    @property
    def median_s(self) -> float | None:
        """Median latency, in seconds; ``None`` if the cell failed."""
        return None if self.latency_s is None else self.latency_s.p50


@dataclass(frozen=True)
class BenchResult:
    """The ``bench`` document: the timing lane of a grid."""

    cells: tuple[BenchCell, ...]
    """The cells, in the order of the grid."""
    fits: tuple[LineFit, ...]
    """A straight line per axis and group of cells that differ along that axis only."""
    occasion: Occasion | None = field(default=None, metadata=OMITTED)
    """When, where and of which code it was measured. Absent in documents of older versions."""


@dataclass(frozen=True)
class PairEnergy:
    """Energy of two pipelines whose calls were interleaved."""

    baseline_joules_per_image: float
    """Energy per image of the baseline, in joules."""
    candidate_joules_per_image: float
    """Energy per image of the candidate, in joules."""
    ratio: float
    """Energy of the candidate over that of the baseline."""
    ci95: Interval | None
    """95% interval of ``ratio``, over pairs of blocks. ``None``: a block used no energy."""
    method: str
    """``counter``: the device's energy counter; ``power``: mean power times time."""


@dataclass(frozen=True)
class PairResult:
    """The ``bench pair`` document: two pipelines timed in one process, their calls interleaved."""

    baseline: tuple[str, ...]
    """Command line of the baseline."""
    candidate: tuple[str, ...]
    """Command line of the candidate."""
    verdict: str
    """``B is faster``, ``B is slower`` or ``no difference shown``; B is the candidate."""
    ratio: float
    """Latency of the candidate over that of the baseline."""
    ci95: Interval
    """95% interval of ``ratio``."""
    noise_ratio: float
    """Latency of the baseline over its own, which would be 1 on a quiet machine."""
    noise_ci95: Interval
    """95% interval of ``noise_ratio``."""
    baseline_s: float
    """Mean latency of the baseline, in seconds."""
    candidate_s: float
    """Mean latency of the candidate, in seconds."""
    baseline_blocks_s: tuple[float, ...]
    """Mean of each of the baseline's blocks, in seconds."""
    candidate_blocks_s: tuple[float, ...]
    """Mean of each of the candidate's blocks, in seconds."""
    calls_a_block: int
    """Calls per block."""
    warnings: tuple[str, ...]
    """Disturbances of the timing."""
    energy: PairEnergy | None = None
    """Energy of both sides. ``None``: the device has no meter, or ``timing=full`` was not given."""
    images_per_call: tuple[int, int] | None = None
    """Images per call of the baseline and of the candidate. ``None``: unknown."""
    occasion: Occasion | None = field(default=None, metadata=OMITTED)
    """When, where and of which code it was measured. Absent in documents of older versions."""
