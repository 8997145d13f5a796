"""Baselines: what a sweep measured, kept in git to compare with later.

Owns the file of a baseline: each cell's recipe, the figures an image with what
they were measured with, and the pixel hashes; no images. Its digest is over its
content, so that a report names exactly what it was compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError, StoreError
from turbo_lab.identity import as_plain, digest
from turbo_lab.request.prompts import DATA
from turbo_lab.request.recipe import Recipe
from turbo_lab.store import record as records
from turbo_lab.store.record import CellStatus, Measurement, Record
from turbo_lab.store.store import Store, images_of
from turbo_lab.untrusted.paths import confined, file_name, replace_file

PACKAGED = DATA.parent / "baselines"
"""Of the models that ship."""


@dataclass(frozen=True)
class Baseline:
    """One cell's figures."""

    name: str
    """Of its file."""
    record_id: str
    """Of the record it was taken from."""
    recipe: Recipe
    """What was run."""
    parameters: Mapping[str, Any]
    """The config as the user wrote it."""
    fingerprint: Fingerprint
    """Environment that made it."""
    keys: tuple[tuple[str, int], ...]
    """Prompt and seed of every image."""
    pixel_sha256: tuple[str, ...]
    """Of every image."""
    measurements: tuple[Measurement, ...]
    """Figures with values an image."""
    timing_samples_s: tuple[float, ...] = ()
    """Seconds of every call of the timing lane there; empty where it was not timed."""

    @property
    def content_digest(self) -> str:
        """sha256 over everything but the name; times that were not taken leave no trace."""
        plain = records.encode_floats(as_plain(self))
        left_out = {"name"} if self.timing_samples_s else {"name", "timing_samples_s"}
        return digest({key: value for key, value in plain.items() if key not in left_out})


def baseline_of(name: str, store: Store, record_id: str) -> Baseline:
    """Return a baseline of one record. Raises ``InputError`` if it was never measured."""
    record = store.read_record(record_id)
    if record is None or record.status != CellStatus.DONE:
        raise InputError(f"baseline {name}: {record_id[:12]} is not a finished record")
    baseline = baseline_from(name, store, record, store.measurements(record_id))
    if not baseline.measurements:
        raise InputError(f"baseline {name}: {record_id[:12]} has no figures an image; measure it")
    return baseline


def baseline_from(
    name: str, store: Store, record: Record, measurements: Sequence[Measurement]
) -> Baseline:
    """Return a baseline of a finished record; it keeps the measurements with per-image values."""
    rows = images_of(store, record)
    timings = store.timings(record.record_id)
    return Baseline(
        name=name,
        record_id=record.record_id,
        recipe=record.recipe,
        parameters=record.parameters,
        fingerprint=record.fingerprint,
        keys=tuple((prompt, seed) for _, _, prompt, seed in rows),
        pixel_sha256=tuple(pixel for _, pixel, *_ in rows),
        measurements=tuple(m for m in measurements if m.per_image is not None),
        timing_samples_s=timings[-1].samples_s if timings else (),
    )


def write_baseline(baseline: Baseline, folder: Path) -> Path:
    """Write ``<folder>/<name>.json``, by one rename."""
    values = {**records.document("baseline", baseline), "digest": baseline.content_digest}
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, baseline.name)
    replace_file(path, records.dump(values).encode())
    return path


def _path(folder: Path, name: str) -> Path:
    """Return the file of a baseline's name. Raises :class:`InputError` if it leads elsewhere."""
    return confined(folder, file_name(f"{name}.json", "baseline"), "baseline")


def read_baseline(name: str, folder: Path) -> Baseline:
    """A baseline of ``folder``, else a packaged one. Raises :class:`StoreError`."""
    path = next((p for f in (folder, PACKAGED) if (p := _path(f, name)).exists()), None)
    if path is None:
        raise InputError(how_to_make(name, folder))
    rest = records.check_document(records.read_object(path), "baseline", str(path))
    claimed = rest.pop("digest", None)
    try:
        found = _read(rest, str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: is damaged ({error!r}); restore it") from error
    if found.content_digest != claimed:
        raise StoreError(f"{path}: was edited by hand (its digest does not fit); restore it")
    return found


def _read(rest: Mapping[str, Any], where: str) -> Baseline:
    measurements = tuple(
        records.read_measurement(records.document("measurement", m), where)
        for m in rest["measurements"]
    )
    keys = tuple((str(prompt), int(seed)) for prompt, seed in rest["keys"])
    pixels = tuple(rest["pixel_sha256"])
    times = tuple(float(value) for value in rest.get("timing_samples_s", ()))
    fingerprint = Fingerprint.from_plain(rest["fingerprint"])
    typed = {
        "recipe": Recipe.from_plain(rest["recipe"]),
        "fingerprint": fingerprint,
        "keys": keys,
        "pixel_sha256": pixels,
        "measurements": measurements,
    }
    return Baseline(**{**rest, **typed, "timing_samples_s": times})


def own_folder() -> Path:
    """``baselines`` of the working directory; in a checkout of turbo-lab itself, those it ships."""
    is_checkout = (Path.cwd() / "turbo_lab" / "data").is_dir()
    return PACKAGED if is_checkout else Path.cwd() / "baselines"


def how_to_make(name: str, folder: Path) -> str:
    """What is said where there is no such baseline."""
    return (
        f"baseline={name}: there is none in {folder}; make one with "
        f"turbo-lab baseline set {name} SWEEP, or give baseline.KEY=VALUE"
    )


def names(folder: Path) -> list[str]:
    """Of every baseline that can be read."""
    found = [*folder.glob("*.json"), *PACKAGED.glob("*.json")]
    return sorted({path.stem for path in found})
