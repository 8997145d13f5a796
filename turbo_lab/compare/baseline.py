"""Baselines: measurements of one cell, kept in git to compare with later.

Owns the file of a baseline: the cell's recipe, its values per image with the fingerprints of
their metrics, and its pixel hashes, but no images. The digest covers the content, so that a
report can name exactly what it compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from turbo_lab.compare.paired import Key, ScoredImages
from turbo_lab.documents.inspection import Finding, FindingStatus
from turbo_lab.documents.results import BaselineShown
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError, StoreError, TurboLabError
from turbo_lab.identity import digest as sha256_of
from turbo_lab.request.parameters import Parameters
from turbo_lab.request.prompts import DATA
from turbo_lab.request.recipe import Recipe
from turbo_lab.store import record as records
from turbo_lab.store.record import CellStatus, Measurement, Record
from turbo_lab.store.store import Store, images_of, sources_of
from turbo_lab.untrusted.paths import confined, file_name, replace_file
from turbo_lab.untrusted.typed_json import OMITTED, read_typed, to_plain

PACKAGED = DATA.parent / "baselines"
"""Folder of the baselines that ship with turbo-lab."""


@dataclass(frozen=True)
class Baseline:
    """Measurements and pixel hashes of one cell."""

    name: str
    """Name of the file, without ``.json``."""
    record_id: str
    """Id of the record that the baseline was made from."""
    recipe: Recipe
    """Recipe of the cell."""
    parameters: Parameters
    """Settings of the cell, by config key."""
    fingerprint: Fingerprint
    """Environment in which the cell was drawn."""
    keys: tuple[Key, ...]
    """Prompt and seed of every image."""
    pixel_sha256: tuple[str, ...]
    """Pixel hash of every image."""
    measurements: tuple[Measurement, ...]
    """Measurements that have values per image."""
    timing_samples_s: tuple[float, ...] = ()
    """Duration of every timed call, in seconds; empty if the cell was not timed."""
    sources: tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    """sha256 of the source image of every image. Absent for text to image, and in old files."""
    digest: str | None = field(default=None, compare=False)
    """Digest in the file that the baseline was read from. ``None``: it was not read from one."""

    def scored(self, name: str) -> ScoredImages | None:
        """Return one metric with the keys of its images; ``None`` if it was not measured."""
        found = (one for one in self.measurements if one.name == name)
        return next((ScoredImages(one, self.keys) for one in found), None)

    @property
    def content_digest(self) -> str:
        """sha256 of everything but the name, and of the timings only if there are any."""
        return self.digest or _content_digest(records.encode_floats(to_plain(self)))


def baseline_of(name: str, store: Store, record_id: str) -> Baseline:
    """Return a baseline of one record. Raises ``InputError`` if it was never measured."""
    record = store.read_record(record_id)
    if record is None or record.status != CellStatus.DONE:
        raise InputError(f"baseline {name}: {record_id[:12]} is not a finished record")
    baseline = baseline_from(name, store, record, store.measurements(record_id))
    if not baseline.measurements:
        raise InputError(
            f"baseline {name}: {record_id[:12]} has no metrics with values per "
            "image; run its sweep again with metrics=default"
        )
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
        sources=sources_of(store, record) or None,
    )


def _content_digest(values: Mapping[str, object]) -> str:
    """Return the digest of a document's fields, also those that this version does not know."""
    left_out = {"name", "digest"}
    if not values.get("timing_samples_s"):
        left_out.add("timing_samples_s")
    return sha256_of({key: value for key, value in values.items() if key not in left_out})


def write_baseline(baseline: Baseline, folder: Path) -> Path:
    """Write ``<folder>/<name>.json`` atomically."""
    # One that was read from a file of an earlier version has more keys now, and another digest.
    new = replace(baseline, digest=None)
    values = {**records.document("baseline", new), "digest": new.content_digest}
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, baseline.name)
    replace_file(path, records.dump(values).encode())
    return path


def _path(folder: Path, name: str) -> Path:
    """Return the file of a baseline's name. Raises :class:`InputError` if it leads elsewhere."""
    return confined(folder, file_name(f"{name}.json", "baseline"), "baseline")


def read_baseline(name: str, folder: Path) -> Baseline:
    """Return a baseline of ``folder``, else a packaged one.

    Raises :class:`InputError` if there is none, :class:`StoreError` for a damaged file.
    """
    path = next((p for f in (folder, PACKAGED) if (p := _path(f, name)).exists()), None)
    if path is None:
        raise InputError(how_to_make(name, folder))
    values = records.check_document(records.read_object(path), "baseline", str(path))
    try:
        found = read_typed(Baseline, values)
    except ValueError as error:
        raise StoreError(f"{path}: is damaged ({error}); restore it") from error
    if found.digest != _content_digest(values):
        raise StoreError(f"{path}: was edited by hand (its digest does not fit); restore it")
    return found


def own_folder() -> Path:
    """Return the folder that baselines are read from and written to.

    This is ``baselines`` in the working directory or, in a checkout of turbo-lab itself, the
    folder of those that ship.
    """
    is_checkout = (Path.cwd() / "turbo_lab" / "data").is_dir()
    return PACKAGED if is_checkout else Path.cwd() / "baselines"


def how_to_make(name: str, folder: Path) -> str:
    """Return the message for a baseline that does not exist."""
    return (
        f"baseline={name}: not found in {folder}; make it with "
        f"turbo-lab baseline set {name} SWEEP, or pass baseline.KEY=VALUE"
    )


def names(folder: Path) -> list[str]:
    """Return the names of all baselines, those of ``folder`` and those that ship."""
    found = [*folder.glob("*.json"), *PACKAGED.glob("*.json")]
    return sorted({path.stem for path in found})


def show_baseline(baseline: Baseline) -> BaselineShown:
    """Return what a baseline was measured on and with."""
    return BaselineShown(
        name=baseline.name,
        digest=baseline.content_digest,
        record_id=baseline.record_id,
        parameters=baseline.parameters,
        images=len(baseline.keys),
        figures={m.name: m.value for m in baseline.measurements},
        fingerprint=baseline.fingerprint.keys,
    )


def check_baselines() -> Iterator[Finding]:
    """Yield whether each baseline of this folder, and each that ships, can be read."""
    folder = own_folder()
    for name in names(folder):
        yield _check_baseline(name, folder)


def _check_baseline(name: str, folder: Path) -> Finding:
    try:
        baseline = read_baseline(name, folder)
    except TurboLabError as error:
        return Finding(f"baseline {name}", FindingStatus.PROBLEM, str(error))
    measured = ", ".join(m.name for m in baseline.measurements)
    text = f"{len(baseline.keys)} images of {baseline.parameters.model}, {measured}"
    return Finding(f"baseline {name}", FindingStatus.OK, text)
