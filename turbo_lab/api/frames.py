"""Results as pandas data frames: one row per cell, image, timing or measurement.

Owns the columns. A frame begins with the axes, then says which cell and record a row is about.
Imports pandas only when a frame is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

from turbo_lab.documents.sweep import CellResult, MetricValue
from turbo_lab.documents.timing import CellTiming
from turbo_lab.errors import unknown_name
from turbo_lab.metrics.skills import rows_by_skill
from turbo_lab.store.record import LatencySummary

if TYPE_CHECKING:
    import pandas

FrameKind = Literal["cells", "images", "timings", "measurements"]
Row = dict[str, object]
Interval = tuple[float, float]

_CELL = ("cell_id", "record_id")
_IMAGE = ("prompt", "seed", "path", "pixel_sha256")
_MEASUREMENT = (
    "metric",
    "value",
    "ci95_low",
    "ci95_high",
    "unit",
    "n",
    "direction",
    "note",
    "fingerprint",
)
_TIMING = (
    "batch_size",
    "p50_s",
    "ci95_low_s",
    "ci95_high_s",
    "mean_s",
    "p90_s",
    "p95_s",
    "p99_s",
    "n",
    "throughput_images_per_s",
    "peak_memory_bytes",
    "first_call_s",
    "compile_s",
    "joules_per_image",
    "warnings",
)


@dataclass(frozen=True)
class TimedCell:
    """One run of the timing lane on a cell."""

    cell: CellResult
    """The cell."""
    latency_s: LatencySummary
    """Wall time per call, in seconds."""
    timing: CellTiming
    """Stages, throughput and memory."""


@dataclass(frozen=True)
class MeasuredCell:
    """One measurement of a cell's images."""

    cell: CellResult
    """The cell."""
    name: str
    """Name of the metric."""
    metric: MetricValue
    """Value of the metric."""
    skill: str | None = None
    """Skill of the prompts. ``None``: all images."""


@dataclass(frozen=True)
class FrameRows:
    """Rows of all data frames of one result."""

    cells: Sequence[CellResult]
    """The cells."""
    timings: Sequence[TimedCell]
    """Runs of the timing lane."""
    measurements: Sequence[MeasuredCell]
    """Measurements."""

    @classmethod
    def of(cls, cells: Sequence[CellResult]) -> FrameRows:
        """Return the rows of a sweep's cells, with the latest timing of each."""
        return cls(
            cells,
            [
                TimedCell(cell, cell.latency_s, cell.timing)
                for cell in cells
                if cell.latency_s is not None and cell.timing is not None
            ],
            [MeasuredCell(cell, *item) for cell in cells for item in cell.metrics.items()]
            + [
                MeasuredCell(cell, name, metric, str(cell.axes["skill"]))
                for cell in rows_by_skill(cells)
                for name, metric in cell.metrics.items()
            ],
        )

    def to_pandas(self, kind: FrameKind = "cells") -> pandas.DataFrame:
        """Return one frame. Raises :class:`InputError` for another kind."""
        axes = list(dict.fromkeys(name for cell in self.cells for name in cell.axes))
        if kind == "cells":
            return _frame(_cell_rows(self.cells), [*axes, *_CELL, "status", "error"])
        if kind == "images":
            return _frame(_image_rows(self.cells), [*axes, *_CELL, *_IMAGE])
        if kind == "timings":
            return _frame(map(_timing_row, self.timings), [*axes, *_CELL, *_TIMING])
        if kind == "measurements":
            skill = ["skill"] if any(one.skill is not None for one in self.measurements) else []
            columns = [*axes, *_CELL, *skill, *_MEASUREMENT]
            return _frame(map(_measurement_row, self.measurements), columns)
        raise unknown_name("kind", str(kind), get_args(FrameKind))


def frame_of(rows: Iterable[Row], columns: Sequence[str] = ()) -> pandas.DataFrame:
    """Return rows as a data frame; ``columns``: those that come first, and exist without rows."""
    return _frame(rows, columns)


def _frame(rows: Iterable[Row], columns: Sequence[str]) -> pandas.DataFrame:
    import pandas

    found = list(rows)
    names = list(dict.fromkeys([*columns, *(name for row in found for name in row)]))
    return pandas.DataFrame.from_records(found, columns=names)


def interval(ci95: Interval | None, unit: str = "") -> Row:
    """Return the ends of a 95% interval as two columns."""
    low, high = ci95 or (None, None)
    return {f"ci95_low{unit}": low, f"ci95_high{unit}": high}


def _cell_row(cell: CellResult) -> Row:
    return {**cell.axes, "cell_id": cell.cell_id, "record_id": cell.record_id}


def _cell_rows(cells: Sequence[CellResult]) -> Iterable[Row]:
    """Yield one row per cell: what varies, every metric, the median latency, all settings."""
    metrics = dict.fromkeys(name for cell in cells for name in cell.metrics)
    for cell in cells:
        values = {name: cell.metrics[name].value for name in metrics if name in cell.metrics}
        latency = cell.latency_s
        yield {
            **_cell_row(cell),
            "status": str(cell.status),
            "error": cell.error,
            **values,
            "latency_p50_s": None if latency is None else latency.p50,
            "throughput_images_per_s": cell.throughput_images_per_s,
            "peak_memory_bytes": None if cell.timing is None else cell.timing.peak_memory_bytes,
            **{k: v for k, v in cell.parameters.by_key().items() if k not in cell.axes},
        }


def _image_rows(cells: Sequence[CellResult]) -> Iterable[Row]:
    for cell in cells:
        for image in cell.images:
            yield {**_cell_row(cell), **asdict(image), "path": str(image.path)}


def _measurement_row(measured: MeasuredCell) -> Row:
    metric = measured.metric
    cell = {k: v for k, v in _cell_row(measured.cell).items() if k != "skill"}
    return {
        **cell,
        **({} if measured.skill is None else {"skill": measured.skill}),
        "metric": measured.name,
        "value": metric.value,
        **interval(metric.ci95),
        "unit": metric.unit,
        "n": metric.n,
        "direction": str(metric.direction),
        "note": metric.note,
        "fingerprint": metric.fingerprint,
    }


def _timing_row(timed: TimedCell) -> Row:
    latency, timing = timed.latency_s, timed.timing
    stages: Mapping[str, float] = timing.stages_s or {}
    return {
        **_cell_row(timed.cell),
        "batch_size": timing.batch_size,
        "p50_s": latency.p50,
        **interval(latency.ci95, "_s"),
        "mean_s": latency.mean,
        "p90_s": latency.p90,
        "p95_s": latency.p95,
        "p99_s": latency.p99,
        "n": latency.n,
        "throughput_images_per_s": timing.throughput_images_per_s,
        "peak_memory_bytes": timing.peak_memory_bytes,
        "first_call_s": timing.first_call_s,
        "compile_s": timing.compile_s,
        "joules_per_image": None if timing.energy is None else timing.energy.joules_per_image,
        "warnings": "; ".join(timing.warnings),
        **{f"{name}_s": seconds for name, seconds in stages.items()},
    }
