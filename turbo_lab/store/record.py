"""Images, records, measurements and timings as JSON documents.

Owns the schema of the store's files and its version. Refuses documents of a newer schema. A
record says what ran and where; measurements and timings are separate documents, so that a metric
can be added later, and so that a latency is never read from images whose work was shared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from turbo_lab import __version__
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import StoreError
from turbo_lab.request.parameters import Parameters
from turbo_lab.request.recipe import Recipe
from turbo_lab.store.provenance import Provenance
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import file_name, hex_name, read_regular
from turbo_lab.untrusted.typed_json import OMITTED, read_typed, to_plain
from turbo_lab.verdict import Direction

SCHEMA = 1
FLAGGED = "flagged"
"""Name of the metric that a safety checker gives."""
T = TypeVar("T")


class CellStatus(StrEnum):
    """Outcome of one cell of a sweep."""

    DONE = "done"
    REUSED = "reused"
    """Every batch was in the store; only in a sweep's document, never in a record."""
    FAILED = "failed"


class Exactness(StrEnum):
    """How a batch's rows were computed. Part of a reuse key, because it decides the bits."""

    EXACT = "exact"
    """With the bits of an unshared run."""
    BATCHED = "batched"
    """In common passes with rows of other batches."""
    SPLIT = "split"
    """In parts, because the whole batch did not fit into memory."""


@dataclass(frozen=True)
class ImageEntry:
    """One image of a batch."""

    file: str
    """Name of the PNG file in the batch's folder."""
    pixel_sha256: str
    """sha256 of ``WIDTHxHEIGHT\\n`` and the uint8 RGB pixels, rows first."""
    prompt: str
    """Text of the prompt."""
    seed: int
    """Seed of the image's own generator."""
    source: str | None = field(default=None, metadata=OMITTED)
    """sha256 of the source image's pixels. Absent for text to image."""


@dataclass(frozen=True)
class BatchRecord:
    """One committed batch."""

    batch_id: str
    """Id of the batch; see :class:`turbo_lab.request.recipe.Batch`."""
    reuse_key: str
    """Hash of batch id, fingerprint keys and exactness; the name of the folder."""
    exactness: Exactness
    """How the rows were computed."""
    recipe: Recipe
    """Recipe that was run."""
    images: tuple[ImageEntry, ...]
    """Images in row order."""
    stages: Mapping[str, str] | None = None
    """sha256 of each stage's tensor, in the order of the stages; ``None`` in old records."""
    notes: tuple[str, ...] = ()
    """How the batch was drawn, as far as a reader must know it; empty if there is nothing."""
    adapter_changes: Mapping[str, float] | None = field(default=None, metadata=OMITTED)
    """Relative change of the weights by each LoRA; see :class:`Record`."""


@dataclass(frozen=True)
class Record:
    """One finished or failed cell: its recipe, its batches and what they were made with."""

    record_id: str
    """sha256 of cell id, fingerprint keys and exactness."""
    cell_id: str
    """Id of the cell; see :class:`turbo_lab.request.recipe.Cell`."""
    status: CellStatus
    """``DONE`` or ``FAILED``."""
    error: str | None
    """One line about the failure. ``None``: the cell did not fail."""
    exactness: Exactness
    """How the rows were computed."""
    recipe: Recipe
    """Recipe that was run."""
    parameters: Parameters
    """Settings as the user wrote them: the model by name, adapters as text."""
    batches: tuple[str, ...]
    """Reuse keys of the batches, in image order."""
    fingerprint: Fingerprint
    """Environment that made it."""
    provenance: Provenance
    """Weights, licences, prompt set and notes."""
    adapter_changes: Mapping[str, float] | None = field(default=None, metadata=OMITTED)
    """Change of the weights by each LoRA, by name: norm of its products, as they are scaled, over
    the norm of the weights that it is on. Absent without a LoRA, and in old records."""


@dataclass(frozen=True)
class Measurement:
    """The value of one metric, and everything that it was measured with."""

    name: str
    """Name of the metric, such as ``clip_score`` or ``fd/nano-clip``."""
    value: float | None
    """The value. ``None``: not scored, or it failed; ``note`` says why."""
    unit: str
    """Unit, such as ``cosine`` or ``squared distance``."""
    n: int
    """Number of independent samples behind the value."""
    direction: Direction
    """Which values are better."""
    fingerprint: str
    """Digest of extractor, preprocessing, scale, reference and version."""
    ci95: tuple[float, float] | None
    """95% confidence interval. ``None``: it cannot be given; ``note`` says why."""
    note: str | None = None
    """Note for readers. ``None``: there is none."""
    details: Mapping[str, object] | None = None
    """Values whose digest is the fingerprint. ``None`` in old documents."""
    per_image: tuple[float, ...] | None = None
    """One value per image, in image order. ``None``: the metric is not a mean over images."""
    failed: bool = False
    """``True`` if an error kept the metric from a value: the next sweep tries again."""


@dataclass(frozen=True)
class LatencySummary:
    """Wall time of one pipeline call, in seconds."""

    mean: float
    """Arithmetic mean."""
    p50: float
    """Median."""
    p90: float
    """90th percentile."""
    p95: float
    """95th percentile."""
    p99: float | None
    """99th percentile; ``None`` below 500 samples."""
    n: int
    """Number of calls timed."""
    ci95: tuple[float, float] | None
    """95% confidence interval of the median. ``None``: too few calls."""


@dataclass(frozen=True)
class EnergySummary:
    """Energy per image, in joules, from the device's meter around each block of timed calls."""

    joules_per_image: float
    """Joules of all blocks over their images."""
    ci95: tuple[float, float] | None
    """95% confidence interval, over blocks; ``None``: fewer than 8 blocks."""
    n: int
    """Number of blocks."""
    method: str
    """``counter``: the device's energy counter; ``power``: mean power times time, without one."""
    blocks_j: tuple[float, ...]
    """Joules of each block, in order."""


@dataclass(frozen=True)
class Timing:
    """One run of the timing lane. It has no images."""

    cell_id: str
    """Id of the cell whose work was timed."""
    batch_size: int
    """Images per call."""
    latency_s: LatencySummary
    """Wall time per call."""
    throughput_images_per_s: float
    """Images per second over all timed calls."""
    samples_s: tuple[float, ...]
    """Duration of every timed call in order, in seconds."""
    stages_s: Mapping[str, float] | None
    """Mean time of ``text``, ``unet``, ``vae``, ``post`` and ``other`` per call, in seconds, and
    of ``encode`` with source images.
    ``None``: the call was not split into stages."""
    first_call_s: float
    """Duration of the first call after loading, in seconds."""
    peak_memory_bytes: int
    """Peak memory of the device, or of the process on a CPU, in bytes."""
    fingerprint: Fingerprint
    """Environment that it was timed in."""
    warnings: tuple[str, ...] = ()
    """Disturbances of the timing: another busy process, throttling, drift."""
    rule: str = "short"
    """``short`` or ``full``: how long it was warmed up and sampled."""
    wall_s: float | None = None
    """Duration of all timed calls together, in seconds; ``None`` in old documents."""
    warmup_s: tuple[float, ...] = ()
    """Duration of the calls between the first and the timed ones in order, in seconds."""
    unet_steps_s: tuple[float, ...] | None = None
    """Mean time of each UNet call within a call, in seconds. ``None``: not split, or the calls did
    not all have the same number of steps."""
    peaks_bytes: Mapping[str, int | None] | None = None
    """Peak of ``process``, ``allocated`` and ``reserved`` memory, in bytes; the last two are
    ``None`` without a GPU. ``None`` in old documents."""
    conditions: tuple[Mapping[str, object], ...] = ()
    """One reading per block of calls: load, clocks, temperatures, throttling."""
    energy: EnergySummary | None = None
    """Energy per image. ``None``: the device has no meter, or an older version wrote this."""
    host_busy: str | None = None
    """Warning that other processes were busy, one of ``warnings``. ``None``: there is none, or an
    older version wrote this."""
    compile_s: float | None = None
    """Part of ``first_call_s`` that ``torch.compile`` took, in seconds. ``None``: nothing is
    compiled, or an older version wrote this."""
    graph_pool_bytes: int | None = None
    """Device memory of the pipeline's CUDA graphs. ``None``: it has none, or an older version
    wrote this."""
    weights_bytes: int | None = None
    """Size of the pipeline's weights in memory, quantised ones with their scales, in bytes.
    ``None``: an older version wrote this."""


def document(kind: str, value: object) -> dict[str, Any]:
    """Return a dataclass as a JSON document with its ``kind`` and the schema's version."""
    return {
        "schema": SCHEMA,
        "turbo_lab": __version__,
        "kind": kind,
        **encode_floats(to_plain(value)),
    }


def read_object(path: Path, remedy: str = "restore it from version control") -> dict[str, Any]:
    """Return the JSON object in a file; :class:`StoreError`, with ``remedy``, for anything else."""
    try:
        values = parse_json(read_regular(path, follow_links=True, error=StoreError).decode())
    except FileNotFoundError as error:
        raise StoreError(f"{path}: does not exist") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StoreError(f"{path}: is damaged ({error}); {remedy}") from error
    if not isinstance(values, dict):
        raise StoreError(f"{path}: is damaged (it is not a JSON object); {remedy}")
    return values


def check_document(values: Mapping[str, object], kind: str, where: str) -> dict[str, Any]:
    """Return the fields of a document without its header.

    Raises :class:`StoreError` for another kind or a newer schema.
    """
    schema = values.get("schema", 0)
    if type(schema) is not int:
        raise StoreError(
            f"{where}: schema {schema!r} is not a number; the file was edited, restore it"
        )
    if schema > SCHEMA:
        raise StoreError(
            f"{where}: schema {schema} is newer than this turbo-lab's {SCHEMA}; upgrade it"
        )
    if values.get("kind") != kind:
        raise StoreError(f"{where}: holds a {values.get('kind')!r} document where {kind!r} belongs")
    return {k: v for k, v in values.items() if k not in ("schema", "turbo_lab", "kind")}


# Work of the image lane may be shared, and its switches are slow: its times mean nothing.
_ONLY_TIMED = frozenset(
    ("latency_s", "samples_s", "stages_s", "throughput_images_per_s", "first_call_s")
)
_ONLY_DRAWN = frozenset(("images", "batches", "pixel_sha256", "per_image"))
_NO_LATENCY = "images never carry a latency: time the cell with turbo-lab bench"
_NO_IMAGES = "a timing never carries images: draw them with turbo-lab sweep"


def read_batch(values: Mapping[str, object], where: str) -> BatchRecord:
    """Return a batch from its document. Raises :class:`StoreError` or ``ValueError``.

    Names of files, hashes and seeds become parts of paths, so they are checked.
    """
    batch = _read(BatchRecord, "batch", values, where)
    hex_name(batch.reuse_key, f"{where}: reuse_key", StoreError)
    for image in batch.images:
        file_name(image.file, f"{where}: file", StoreError)
        hex_name(image.pixel_sha256, f"{where}: pixel_sha256", StoreError)
        if image.source is not None:
            hex_name(image.source, f"{where}: source", StoreError)
    return batch


def read_record(values: Mapping[str, object], where: str) -> Record:
    """Return a record from its document. Raises :class:`StoreError` or ``ValueError``."""
    record = _read(Record, "record", values, where)
    hex_name(record.record_id, f"{where}: record_id", StoreError)
    for key in record.batches:
        hex_name(key, f"{where}: batches", StoreError)
    return record


def read_measurement(values: Mapping[str, object], where: str) -> Measurement:
    """Return a measurement from its document. Raises :class:`StoreError` or ``ValueError``."""
    measurement = _read(Measurement, "measurement", values, where)
    if "failed" in values or measurement.value is not None:
        return measurement
    # Older versions wrote a failure only as the beginning of the note.
    return replace(measurement, failed=(measurement.note or "").startswith("error"))


def read_timing(values: Mapping[str, object], where: str) -> Timing:
    """Return a timing from its document. Raises :class:`StoreError` or ``ValueError``."""
    return _read(Timing, "timing", values, where)


def read_kind(cls: type[T], kind: str, values: Mapping[str, object], where: str) -> T:
    """Return the dataclass that a document of a kind describes.

    Raises :class:`StoreError` for another kind or a newer schema, ``ValueError`` if it is damaged.
    """
    return read_typed(cls, check_document(values, kind, where))


def _read(cls: type[T], kind: str, values: Mapping[str, object], where: str) -> T:
    """Return what a document describes; refuse fields of the other lane."""
    described = read_kind(cls, kind, values, where)
    foreign, rule = (_ONLY_DRAWN, _NO_IMAGES) if cls is Timing else (_ONLY_TIMED, _NO_LATENCY)
    found = sorted(foreign & set(values))
    if found:
        raise StoreError(f"{where}: holds {', '.join(found)}; {rule}")
    return described


def encode_floats(value: Any) -> Any:
    """Return JSON values with ``inf``, ``-inf`` and ``nan`` as text: JSON has no such numbers."""
    if type(value) in (str, int, bool, type(None)):  # most of a document; the rest is slower
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: encode_floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode_floats(item) for item in value]
    return value


def dump(values: Mapping[str, object]) -> str:
    """Return readable JSON: keys in their order, one trailing newline."""
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
