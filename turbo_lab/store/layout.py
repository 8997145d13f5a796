"""Names and paths of all files in a store.

Pure paths: nothing is read or written here. A name that comes from a file is refused
unless it is hexadecimal, so that no path leads out of the store.

Layout::

    store.json                                    schema
    batches/<2 hex>/<reuse key>/batch.json, *.png
    records/<2 hex>/<record id>.json
    measurements/<record id>/<metric>-<fingerprint>.json
    timings/<record id>/<moment>.json
    sweeps/<sweep id>/begun.json, sweep.json, sheet.png, sheet.json
    judgements/<digest>/judgement.json, report.html
    revisions.json                                commits that cards leave open, at first use
    tmp/                                          unfinished writes
    claims                                        locked bytes: batches in progress
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.errors import StoreError
from turbo_lab.untrusted.paths import hex_name, is_hex_name

DEFAULT_STORE = "turbo-lab-store"
"""Default folder of the store, in the working directory."""
BATCHES, RECORDS, SWEEPS, JUDGEMENTS = "batches", "records", "sweeps", "judgements"
KINDS = (BATCHES, RECORDS, "measurements", "timings", SWEEPS, JUDGEMENTS, "tmp")
"""The folders of a store."""
BATCH_FILE, SWEEP_FILE, BEGUN_FILE = "batch.json", "sweep.json", "begun.json"


@dataclass(frozen=True)
class StoreLayout:
    """Paths of one store."""

    root: Path
    """Its folder."""

    @property
    def marker(self) -> Path:
        """File that makes a folder a store."""
        return self.root / "store.json"

    @property
    def exists(self) -> bool:
        """``True`` if the folder is a store."""
        return self.marker.exists()

    @property
    def tmp(self) -> Path:
        """Folder of unfinished writes."""
        return self.root / "tmp"

    @property
    def locks(self) -> Path:
        """File of the locks."""
        return self.root / "claims"

    @property
    def revisions(self) -> Path:
        """File of the commits that cards leave open."""
        return self.root / "revisions.json"

    def folder(self, kind: str) -> Path:
        """Return the folder of one of :data:`KINDS`."""
        return self.root / kind

    def batch(self, key: str) -> Path:
        """Return the folder of a batch."""
        return self.root / BATCHES / key[:2] / self._hex(key, "batch")

    def batch_document(self, key: str) -> Path:
        """Return the record of a batch."""
        return self.batch(key) / BATCH_FILE

    def batches(self) -> Iterator[Path]:
        """Yield the folders of all batches, in no order."""
        return (self.root / BATCHES).glob("*/*")

    def record(self, record_id: str) -> Path:
        """Return the file of a record."""
        return self.root / RECORDS / record_id[:2] / f"{self._hex(record_id, 'record')}.json"

    def records(self) -> list[Path]:
        """Return the files of all records, in the order of their ids."""
        return sorted((self.root / RECORDS).glob("*/*.json"))

    def measurements(self, record_id: str) -> Path:
        """Return the folder of a record's measurements."""
        return self.root / "measurements" / self._hex(record_id, "measurements")

    def measurement(self, record_id: str, metric: str, fingerprint: str) -> Path:
        """Return the file of one measurement."""
        slug = re.sub(r"[^A-Za-z0-9_.-]", "-", metric)
        return self.measurements(record_id) / f"{slug}-{fingerprint[:16]}.json"

    def timings(self, record_id: str) -> Path:
        """Return the folder of a record's timings."""
        return self.root / "timings" / self._hex(record_id, "timings")

    def timed(self) -> Iterator[str]:
        """Yield the ids of records that have timings, in no order."""
        found = (path.name for path in (self.root / "timings").glob("*"))
        return (name for name in found if is_hex_name(name))

    def measured_or_timed(self) -> list[Path]:
        """Return the folders of all records' measurements and timings."""
        return sorted([*(self.root / "measurements").glob("*"), *(self.root / "timings").glob("*")])

    def is_timing(self, path: Path) -> bool:
        """Return whether a path of :meth:`measured_or_timed` has timings."""
        return path.parent == self.root / "timings"

    def sweep(self, sweep_id: str) -> SweepFiles:
        """Return the files of a sweep."""
        return SweepFiles(self.root / SWEEPS / self._hex(sweep_id, "sweep"))

    def sweeps(self, beginning: str = "") -> list[SweepFiles]:
        """Return the files of every sweep whose id begins so, in the order of their ids."""
        folders = (self.root / SWEEPS).glob("*")
        return [SweepFiles(path) for path in sorted(folders) if path.name.startswith(beginning)]

    def judgement(self, judgement_id: str) -> JudgementFiles:
        """Return the files of a comparison or a gate."""
        return JudgementFiles(self.root / JUDGEMENTS / self._hex(judgement_id, "judgement"))

    def judgements(self) -> list[JudgementFiles]:
        """Return the files of every comparison and gate, in the order of their ids."""
        folders = sorted((self.root / JUDGEMENTS).glob("*"))
        return [JudgementFiles(path) for path in folders if is_hex_name(path.name)]

    def _hex(self, name: str, kind: str) -> str:
        return hex_name(name, f"{self.root}: {kind}", StoreError)


@dataclass(frozen=True)
class SweepFiles:
    """Files of one sweep."""

    folder: Path
    """Their folder, named by the sweep's id."""

    @property
    def sweep_id(self) -> str:
        """Id of the sweep."""
        return self.folder.name

    @property
    def document(self) -> Path:
        """The ``sweep`` document; absent if the sweep was cut off."""
        return self.folder / SWEEP_FILE

    @property
    def begun(self) -> Path:
        """The note about the cells that the sweep was going to make."""
        return self.folder / BEGUN_FILE

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.folder / "sheet.png"

    @property
    def sheet_note(self) -> Path:
        """The note about what the contact sheet shows."""
        return self.folder / "sheet.json"


@dataclass(frozen=True)
class JudgementFiles:
    """Files of one comparison or gate."""

    folder: Path
    """Their folder, named by the digest of the document."""

    @property
    def judgement_id(self) -> str:
        """Digest of the document."""
        return self.folder.name

    @property
    def document(self) -> Path:
        """The summary."""
        return self.folder / "judgement.json"

    @property
    def page(self) -> Path:
        """The page that the summary belongs to."""
        return self.folder / "report.html"


def store_around(path: Path) -> Path | None:
    """Return the root of the store that a sweep's document is in; ``None`` if it is in none."""
    above = path.resolve().parents
    is_inside = len(above) > 2 and above[1].name == SWEEPS and StoreLayout(above[2]).exists
    return above[2] if is_inside else None
