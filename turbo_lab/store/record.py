"""What was produced: images, records, measurements and timings, as JSON documents.

Owns the schema of the store's files and its version. Refuses documents of a
newer schema. A record says what ran and where; measurements and timings are
separate documents, so that a metric can be added later and a
latency is never read off images whose work was shared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from turbo_lab import __version__
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import StoreError
from turbo_lab.identity import as_plain
from turbo_lab.request.recipe import Recipe
from turbo_lab.untrusted.paths import file_name, hex_name, read_regular
from turbo_lab.verdict import Direction

SCHEMA = 1


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
    """Name of the PNG within the batch's folder."""
    pixel_sha256: str
    """Of ``WIDTHxHEIGHT\\n`` and the uint8 RGB pixels, rows first."""
    prompt: str
    """Its text."""
    seed: int
    """Of its own generator."""


@dataclass(frozen=True)
class BatchRecord:
    """One committed batch."""

    batch_id: str
    """See :class:`turbo_lab.request.recipe.Batch`."""
    reuse_key: str
    """Batch id, fingerprint keys and exactness; the name of the folder."""
    exactness: Exactness
    """How the rows were computed."""
    recipe: Recipe
    """What was run."""
    images: tuple[ImageEntry, ...]
    """In row order."""
    stages: Mapping[str, str] | None = None
    """Stage to sha256 of its tensor, in order; ``None`` in records of older versions."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how it was drawn; empty if nothing."""


@dataclass(frozen=True)
class Record:
    """One finished or failed cell: what it is, what it made, with what."""

    record_id: str
    """sha256 of cell id, fingerprint keys and exactness."""
    cell_id: str
    """See :class:`turbo_lab.request.recipe.Cell`."""
    status: CellStatus
    """``DONE`` or ``FAILED``."""
    error: str | None
    """One line where it failed, else ``None``."""
    exactness: Exactness
    """How the rows were computed."""
    recipe: Recipe
    """What was run."""
    parameters: Mapping[str, Any]
    """The config as the user wrote it (model by name, lora as text)."""
    batches: tuple[str, ...]
    """Reuse keys of its batches, in image order."""
    fingerprint: Fingerprint
    """Environment that made it."""
    provenance: Mapping[str, Any]
    """Model, adapters and licences by name and digest; warnings."""


@dataclass(frozen=True)
class Measurement:
    """One figure with all that it was measured with."""

    name: str
    """Such as ``clip_score`` or ``fd/nano-clip``."""
    value: float | None
    """``None`` where it is ``unscored`` or failed; ``note`` says why."""
    unit: str
    """Such as ``cosine`` or ``squared distance``."""
    n: int
    """Independent samples behind the value."""
    direction: Direction
    """Values that are better."""
    fingerprint: str
    """Digest of extractor, preprocessing, scale, reference and version."""
    ci95: tuple[float, float] | None
    """95% confidence interval; ``None`` where n is too small, see ``note``."""
    note: str | None = None
    """What a reader must know; ``None`` if nothing."""
    details: Mapping[str, Any] | None = None
    """What the fingerprint is the digest of."""
    per_image: tuple[float, ...] | None = None
    """One value an image, in image order, where the figure is their mean."""


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
    """Calls timed."""
    ci95: tuple[float, float] | None
    """95% confidence interval of the median; ``None``: too few calls."""


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
    """One run of the timing lane. Carries no images."""

    cell_id: str
    """Whose work was timed."""
    batch_size: int
    """Images a call."""
    latency_s: LatencySummary
    """Wall time a call."""
    throughput_images_per_s: float
    """Images over total wall time."""
    samples_s: tuple[float, ...]
    """Every timed call, in order."""
    stages_s: Mapping[str, float] | None
    """Mean of ``text``, ``unet``, ``vae``, ``post``, ``other``; ``None`` if not split."""
    first_call_s: float
    """The first call after loading."""
    peak_memory_bytes: int
    """Of the process, or of the device where there is one."""
    fingerprint: Fingerprint
    """Environment that made it."""
    warnings: tuple[str, ...] = ()
    """Another busy process, throttling, a drift of the clock."""
    rule: str = "short"
    """``short`` or ``full``: how long it was warmed up and sampled."""
    wall_s: float | None = None
    """Of the timed calls together; ``None`` in documents of older versions."""
    warmup_s: tuple[float, ...] = ()
    """The calls between the first and the timed ones, in order."""
    unet_steps_s: tuple[float, ...] | None = None
    """Mean of each UNet call within a call; ``None`` if not split, or not as many in each."""
    peaks_bytes: Mapping[str, int | None] | None = None
    """``process``, ``allocated`` and ``reserved`` (on the device; ``None`` without one)."""
    conditions: tuple[Mapping[str, Any], ...] = ()
    """A reading a block: clocks, temperatures, throttling, load."""
    energy: EnergySummary | None = None
    """Energy per image; ``None``: the device has no meter, or an older version wrote this."""


def document(kind: str, value: Any) -> dict[str, Any]:
    """A dataclass as a JSON document with its ``kind`` and schema version."""
    return {
        "schema": SCHEMA,
        "turbo_lab": __version__,
        "kind": kind,
        **encode_floats(as_plain(value)),
    }


def read_object(path: Path, remedy: str = "restore it from version control") -> dict[str, Any]:
    """The JSON object in a file. Raises :class:`StoreError`, with ``remedy``, for anything else."""
    try:
        values = json.loads(read_regular(path, follow_links=True, error=StoreError).decode())
    except FileNotFoundError as error:
        raise StoreError(f"{path}: is missing") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: is damaged ({error}); {remedy}") from error
    if not isinstance(values, dict):
        raise StoreError(f"{path}: is damaged (no JSON object); {remedy}")
    return values


def check_document(values: Mapping[str, Any], kind: str, where: str) -> dict[str, Any]:
    """The fields of a document; raises :class:`StoreError` for another kind or newer schema."""
    schema = values.get("schema", 0)
    if type(schema) is not int:
        raise StoreError(
            f"{where}: schema {schema!r} is not a number; the file was edited, restore it"
        )
    if schema > SCHEMA:
        raise StoreError(
            f"{where}: schema {values['schema']} is newer than this turbo-lab's {SCHEMA}; "
            "upgrade it"
        )
    if values.get("kind") != kind:
        raise StoreError(f"{where}: holds a {values.get('kind')!r} document where {kind!r} belongs")
    return {k: v for k, v in values.items() if k not in ("schema", "turbo_lab", "kind")}


def _refuse(values: Mapping[str, Any], fields: frozenset[str], rule: str, where: str) -> None:
    """Raise :class:`StoreError` for a document that holds what its lane must not."""
    found = sorted(fields & set(values))
    if found:
        raise StoreError(f"{where}: holds {', '.join(found)}; {rule}")


# Work of the image lane may be shared, and its switches are slow: its times mean nothing.
_OF_THE_TIMING_LANE = frozenset(
    ("latency_s", "samples_s", "stages_s", "throughput_images_per_s", "first_call_s")
)
_OF_THE_IMAGE_LANE = frozenset(("images", "batches", "pixel_sha256", "per_image"))
_NO_LATENCY = "images never carry a latency: time the cell with turbo-lab bench"
_NO_IMAGES = "a timing never carries images: draw them with turbo-lab sweep"


def read_batch(values: Mapping[str, Any], where: str) -> BatchRecord:
    """Inverse of ``document("batch", ...)``."""
    rest = check_document(values, "batch", where)
    _refuse(rest, _OF_THE_TIMING_LANE, _NO_LATENCY, where)
    images = tuple(_read_image(i, where) for i in rest["images"])
    batch = BatchRecord(
        **rest
        | {
            "exactness": Exactness(rest["exactness"]),
            "recipe": Recipe.from_plain(rest["recipe"]),
            "images": images,
            "notes": tuple(rest.get("notes", ())),
        }
    )
    hex_name(batch.reuse_key, f"{where}: reuse_key", StoreError)
    return batch


def _read_image(values: Mapping[str, Any], where: str) -> ImageEntry:
    """One image of a batch; its file, hash and seed become parts of paths."""
    entry = ImageEntry(**values)
    file_name(entry.file, f"{where}: file", StoreError)
    hex_name(entry.pixel_sha256, f"{where}: pixel_sha256", StoreError)
    if type(entry.seed) is not int:
        raise StoreError(f"{where}: seed {entry.seed!a} is not a whole number; it was edited")
    return entry


def read_sweep(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a ``sweep`` document; every id can name a file."""
    rest = check_document(values, "sweep", where)
    hex_name(rest["sweep_id"], f"{where}: sweep_id", StoreError)
    for row in rest["cells"]:
        hex_name(row["record_id"], f"{where}: record_id", StoreError)
    return rest


def read_begun(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a ``begun`` document; every id can name a file."""
    rest = check_document(values, "begun", where)
    hex_name(rest["sweep_id"], f"{where}: sweep_id", StoreError)
    for cell in rest["cells"]:
        for name in cell["records"]:
            hex_name(name, f"{where}: records", StoreError)
    return rest


def read_record(values: Mapping[str, Any], where: str) -> Record:
    """Inverse of ``document("record", ...)``."""
    rest = check_document(values, "record", where)
    _refuse(rest, _OF_THE_TIMING_LANE, _NO_LATENCY, where)
    batches = tuple(hex_name(key, f"{where}: batches", StoreError) for key in rest["batches"])
    record = Record(
        **rest
        | {
            "status": CellStatus(rest["status"]),
            "fingerprint": Fingerprint.from_plain(rest["fingerprint"]),
            "exactness": Exactness(rest["exactness"]),
            "recipe": Recipe.from_plain(rest["recipe"]),
            "batches": batches,
        }
    )
    hex_name(record.record_id, f"{where}: record_id", StoreError)
    return record


def read_measurement(values: Mapping[str, Any], where: str) -> Measurement:
    """Inverse of ``document("measurement", ...)``."""
    rest = check_document(values, "measurement", where)
    _refuse(rest, _OF_THE_TIMING_LANE, _NO_LATENCY, where)
    per_image = rest["per_image"]
    return Measurement(
        **rest
        | {
            "value": _decode(rest["value"]),
            "direction": Direction(rest["direction"]),
            "ci95": _pair(rest["ci95"]),
            "per_image": None if per_image is None else tuple(_decode(v) for v in per_image),
        }
    )


def read_timing(values: Mapping[str, Any], where: str) -> Timing:
    """Inverse of ``document("timing", ...)``; refuses an image record."""
    rest = check_document(values, "timing", where)
    _refuse(rest, _OF_THE_IMAGE_LANE, _NO_IMAGES, where)
    latency = {k: _decode(v) for k, v in rest["latency_s"].items()}
    stages, steps = rest["stages_s"], rest.get("unet_steps_s")
    return Timing(
        **rest
        | {
            "fingerprint": Fingerprint.from_plain(rest["fingerprint"]),
            "latency_s": LatencySummary(**latency | {"ci95": _pair(latency["ci95"])}),
            "throughput_images_per_s": _decode(rest["throughput_images_per_s"]),
            "samples_s": tuple(_decode(v) for v in rest["samples_s"]),
            "stages_s": stages and {k: _decode(v) for k, v in stages.items()},
            "first_call_s": _decode(rest["first_call_s"]),
            "warnings": tuple(rest["warnings"]),
            "wall_s": _decode(rest.get("wall_s")),
            "warmup_s": tuple(_decode(v) for v in rest.get("warmup_s", ())),
            "unet_steps_s": None if steps is None else tuple(_decode(v) for v in steps),
            "conditions": tuple(rest.get("conditions", ())),
            "energy": _read_energy(rest.get("energy")),
        }
    )


def _read_energy(values: Mapping[str, Any] | None) -> EnergySummary | None:
    if values is None:
        return None
    return EnergySummary(
        joules_per_image=_decode(values["joules_per_image"]),
        ci95=_pair(values["ci95"]),
        n=values["n"],
        method=values["method"],
        blocks_j=tuple(_decode(value) for value in values["blocks_j"]),
    )


def encode_floats(value: Any) -> Any:
    """Non-finite floats as the strings ``inf``, ``-inf``, ``nan``: JSON has none."""
    if type(value) in (str, int, bool, type(None)):  # most of a document; the rest is slower
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: encode_floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode_floats(item) for item in value]
    return value


def _decode(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _pair(value: Any) -> tuple[float, float] | None:
    return None if value is None else (_decode(value[0]), _decode(value[1]))


def dump(values: Mapping[str, Any]) -> str:
    """Readable JSON, keys in their order, one trailing newline."""
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
