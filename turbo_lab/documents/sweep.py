"""The ``sweep`` document: a grid's cells, what they were made from and what was measured.

Owns how a document that was written elsewhere is moved to the store that it is read from, and
refuses one that names files outside that store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from turbo_lab.documents.document import read_document
from turbo_lab.documents.timing import CellTiming
from turbo_lab.errors import StoreError
from turbo_lab.request.parameters import Parameters
from turbo_lab.store.provenance import Provenance
from turbo_lab.store.record import (
    FLAGGED,
    CellStatus,
    LatencySummary,
    Measurement,
    Record,
    Timing,
)
from turbo_lab.store.store import Store
from turbo_lab.untrusted.paths import confined, hex_name
from turbo_lab.untrusted.typed_json import OMITTED
from turbo_lab.verdict import Direction

Axes = Mapping[str, object]


@dataclass(frozen=True)
class SkillValue:
    """Value of one metric on the images of one skill."""

    value: float
    """Mean over the images."""
    n: int
    """Number of images."""
    ci95: tuple[float, float] | None
    """95% confidence interval. ``None``: too few prompts; see ``note``."""
    note: str | None
    """Remark for the reader. ``None``: there is none."""


@dataclass(frozen=True)
class MetricValue:
    """Value of one metric."""

    value: float | None
    """The value. ``None``: not scored, or it failed; ``note`` says why."""
    unit: str
    """Unit, such as ``cosine`` or ``squared distance``."""
    n: int
    """Number of independent samples."""
    direction: Direction
    """Direction in which the value is better: ``higher``, ``lower``, or ``none`` for neither."""
    fingerprint: str
    """sha256 of the extractor, its preprocessing, the reference and the metric's version."""
    ci95: tuple[float, float] | None
    """95% confidence interval. ``None``: it cannot be given; see ``note``."""
    note: str | None
    """Remark for the reader. ``None``: there is none."""
    by_skill: Mapping[str, SkillValue] | None = field(default=None, metadata=OMITTED)
    """Values by the skill that the prompts test. Absent if the prompt set names no skills, and for
    metrics without a value per image."""

    @classmethod
    def of(cls, measurement: Measurement) -> MetricValue:
        """Return a measurement without its values per image."""
        return cls(
            value=measurement.value,
            unit=measurement.unit,
            n=measurement.n,
            direction=measurement.direction,
            fingerprint=measurement.fingerprint,
            ci95=measurement.ci95,
            note=measurement.note,
        )


@dataclass(frozen=True)
class ImageFile:
    """One image in a file."""

    path: Path
    """PNG file, an absolute path."""
    pixel_sha256: str
    """sha256 of ``WIDTHxHEIGHT``, a newline and the uint8 RGB pixels, rows first."""
    seed: int
    """Seed of the image's own generator."""
    prompt: str
    """Prompt of the image."""
    source: str | None = field(default=None, metadata=OMITTED)
    """sha256 of the source image's pixels, which ``provenance.sources`` names. Absent for text to
    image."""
    flagged: bool | None = field(default=None, metadata=OMITTED)
    """``true`` if the safety checker flags it. Absent if none judged it."""


@dataclass(frozen=True)
class CellResult:
    """One cell of a sweep."""

    cell_id: str
    """sha256 of the cell's recipe."""
    record_id: str
    """Id of its record: cell, environment and exactness."""
    status: CellStatus
    """``done``; ``reused``: all images were in the store; ``failed``."""
    error: str | None
    """One line about the failure. ``None``: the cell did not fail."""
    axes: Axes
    """Values of the keys that vary, by key."""
    aliases: tuple[Axes, ...]
    """Axes of other points of the grid that are the same cell."""
    parameters: Parameters
    """All settings of the cell, by config key."""
    provenance: Provenance
    """Sources of the cell: weights, licences, prompts and code."""
    record: Path
    """File of the record, an absolute path."""
    mlflow_run_id: str | None
    """MLflow run of the cell. ``None``: the sweep is not tracked, or MLflow failed."""
    metrics: Mapping[str, MetricValue]
    """Metrics of the cell's images, by name; empty if none was asked for or the cell failed."""
    latency_s: LatencySummary | None
    """Wall time per call, in seconds. ``None``: the cell was not timed."""
    throughput_images_per_s: float | None
    """Images per second over all timed calls. ``None``: the cell was not timed."""
    timing: CellTiming | None
    """Details of the timing. ``None``: the cell was not timed."""
    images: tuple[ImageFile, ...]
    """The images, in order; empty if the cell failed."""
    adapter_changes: Mapping[str, float] | None = field(default=None, metadata=OMITTED)
    """Change of the weights by each LoRA, by name: norm of its products over the norm of the
    weights that it is on. Absent without a LoRA, and for old records."""
    drawn_at: float | None = field(default=None, metadata=OMITTED)
    """Moment when the drawing of its first batch began, in seconds since 1970 UTC. Absent if
    another sweep drew it, or an earlier version."""
    drawn_s: float | None = field(default=None, metadata=OMITTED)
    """Duration of drawing its batches, in seconds. It is not a latency: cells share work, and the
    image lane is slow. Absent as above."""

    @classmethod
    def of(
        cls,
        record: Record,
        store: Store,
        axes: Axes,
        aliases: Sequence[Axes] = (),
        measurements: Iterable[Measurement] = (),
    ) -> CellResult:
        """Return what a store holds of a record."""
        where = store.record_path(record.record_id)
        is_failed = record.status == CellStatus.FAILED
        measured = tuple(measurements)
        timing = None if is_failed else latest_timing(store, record)
        return cls(
            cell_id=record.cell_id,
            record_id=record.record_id,
            status=record.status,
            error=record.error,
            axes=axes,
            aliases=tuple(aliases),
            parameters=record.parameters,
            provenance=record.provenance,
            record=where,
            mlflow_run_id=None,
            metrics={one.name: MetricValue.of(one) for one in measured},
            latency_s=None if timing is None else timing.latency_s,
            throughput_images_per_s=None if timing is None else timing.throughput_images_per_s,
            timing=None if timing is None else CellTiming.of(timing),
            images=() if is_failed else with_flags(image_files(store, record), measured),
            adapter_changes=record.adapter_changes,
        )

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.parameters.model

    @property
    def is_failed(self) -> bool:
        """``True`` if the cell failed."""
        return self.status == CellStatus.FAILED


@dataclass(frozen=True)
class SweepCounts:
    """Numbers of cells."""

    requested: int
    """Points of the grid."""
    distinct: int
    """Cells, after equal points are merged."""
    reused: int
    """Cells whose images were all in the store."""
    done: int
    """Cells that were drawn now, at least in part."""
    failed: int
    """Cells that failed."""

    @property
    def outcomes(self) -> str:
        """Number of cells per outcome, without empty ones, such as ``3 done, 1 failed``."""
        counts = {"done": self.done, "reused": self.reused, "failed": self.failed}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


@dataclass(frozen=True)
class RowsDone:
    """Rows of one network."""

    alone: int
    """Rows if each cell was drawn alone."""
    done: int
    """Rows that were computed."""


@dataclass(frozen=True)
class SweepWork:
    """Work of a sweep, and what sharing it saved."""

    unet_rows: RowsDone
    """UNet evaluations of one image."""
    vae_rows: RowsDone
    """Decoded images."""
    text_rows: RowsDone
    """Encoded prompts."""
    source_rows: RowsDone | None = field(default=None, metadata=OMITTED)
    """Encoded source images. Absent without source images."""


@dataclass(frozen=True)
class SweepResult:
    """The ``sweep`` document."""

    sweep_id: str
    """Id of the sweep: its cells and the environment."""
    store: Path
    """Folder of the store, an absolute path."""
    tracking_uri: str | None
    """Address of MLflow. ``None``: the sweep is not tracked."""
    load_s: float
    """Time of imports and loading, in seconds."""
    wall_s: float
    """Time from the start of the first batch to the last commit, in seconds."""
    metrics_s: float
    """Time spent on metrics, in seconds."""
    timing_s: float
    """Time spent on the timing lane, in seconds."""
    tracking_s: float
    """Time spent waiting for MLflow, in seconds."""
    counts: SweepCounts
    """Numbers of cells."""
    work: SweepWork
    """Rows that were computed, next to those of each cell alone."""
    cells: tuple[CellResult, ...]
    """The cells, in the order of the grid."""
    total_s: float | None = None
    """Time from the start of the command to the end of the sweep, in seconds: loading, drawing,
    metrics, timing, tracking, and the rest. ``None``: written by an earlier version."""

    @classmethod
    def from_document(cls, values: Mapping[str, object], where: str) -> SweepResult:
        """Return the sweep that a document describes; ``where`` names its file in messages.

        Raises :class:`StoreError` for another document, and for ids that cannot name a file.
        """
        return read_document(cls, "sweep", values, where)._checked(where)

    @classmethod
    def read(cls, store: Store, path: Path) -> SweepResult:
        """Return a sweep of a store. Raises :class:`StoreError` for one that is damaged."""
        return store.read_document(cls, "sweep", path)._checked(str(path))

    def _checked(self, where: str) -> SweepResult:
        """Return the sweep if every id can name a file."""
        hex_name(self.sweep_id, f"{where}: sweep_id", StoreError)
        for cell in self.cells:
            hex_name(cell.record_id, f"{where}: record_id", StoreError)
        return self

    def with_run_ids(self, run_ids: Mapping[str, str], tracking_s: float) -> SweepResult:
        """Return the sweep with its MLflow runs, by record id; none if MLflow failed."""
        cells = (replace(one, mlflow_run_id=run_ids.get(one.record_id)) for one in self.cells)
        return replace(self, tracking_s=tracking_s, cells=tuple(cells))

    def moved(self, root: Path) -> SweepResult:
        """Return the sweep with the files of the store at ``root``, wherever it was written.

        Raises :class:`StoreError` for a record or an image that is not a file of its store: what
        a document names is shown and uploaded.
        """
        where = f"sweep {self.sweep_id}"

        def at(path: Path, kind: str) -> Path:
            if not PurePath(path).is_relative_to(self.store / kind):
                raise StoreError(
                    f"{where}: {str(path)!a} is not in {kind} of its store ({self.store}); only "
                    "files of the store are read: run the same sweep again"
                )
            relative = path.relative_to(self.store).as_posix()
            return confined(root, relative, where, StoreError, links=False)

        cells = (
            replace(
                cell,
                record=at(cell.record, "records"),
                images=tuple(replace(one, path=at(one.path, "batches")) for one in cell.images),
            )
            for cell in self.cells
        )
        return replace(self, store=root, cells=tuple(cells))


def image_files(store: Store, record: Record) -> tuple[ImageFile, ...]:
    """Return the images of a record, in order."""
    return tuple(
        ImageFile(
            path=store.batch_folder(key) / image.file,
            pixel_sha256=image.pixel_sha256,
            seed=image.seed,
            prompt=image.prompt,
            source=image.source,
        )
        for key in record.batches
        for image in store.read_batch(key).images
    )


def with_flags(
    images: tuple[ImageFile, ...], measurements: Iterable[Measurement]
) -> tuple[ImageFile, ...]:
    """Return the images with what the safety checker said of each, if one judged them."""
    flags = next((one.per_image for one in measurements if one.name == FLAGGED), None)
    if flags is None:
        return images
    return tuple(
        replace(image, flagged=bool(flag)) for image, flag in zip(images, flags, strict=True)
    )


def latest_timing(store: Store, record: Record) -> Timing | None:
    """Return the newest run of the timing lane on a cell; ``None``: it was never timed."""
    timings = store.timings(record.record_id)
    return timings[-1] if timings else None


def fixed_settings(cells: Sequence[CellResult]) -> dict[str, object]:
    """Return the settings that all cells share, by config key, without those that are not set."""
    first, *others = (cell.parameters.by_key() for cell in cells)
    return {
        name: value
        for name, value in first.items()
        if value is not None and all(one.get(name) == value for one in others)
    }
