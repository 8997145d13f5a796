"""The store: images, records and measurements on disk, by content.

Owns every write into the store: a file or folder is written under ``tmp``, synced once and
renamed into place. A reader therefore sees a batch whole or not at all, even if the writer was
killed. Two sweeps may write at once: the second one finds the folder of the first and keeps it.
The paths are in :mod:`turbo_lab.store.layout`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from turbo_lab.environment import Keys
from turbo_lab.errors import MALFORMED, InputError, StoreError, WriteError
from turbo_lab.identity import digest
from turbo_lab.store import record as records
from turbo_lab.store.layout import KINDS, StoreLayout, SweepFiles
from turbo_lab.store.locks import Locks
from turbo_lab.store.record import BatchRecord, CellStatus, Exactness, Measurement, Record, Timing
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import output_path, read_regular, refuse_links, user_path

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
# Error numbers of a place that cannot be written to; /proc, for example, gives ENOENT.
_UNWRITABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
)


def reuse_key(batch_id: str, fingerprint_keys: Keys, exactness: Exactness) -> str:
    """Return the key of a batch in one environment; only a batch with an equal key is reused."""
    return digest({"batch": batch_id, "keys": dict(fingerprint_keys), "exactness": exactness})


def record_id(cell_id: str, fingerprint_keys: Keys, exactness: Exactness) -> str:
    """Return the id of a cell's record in one environment."""
    return digest({"cell": cell_id, "keys": dict(fingerprint_keys), "exactness": exactness})


class Store:
    """A folder of batches, records, measurements and timings."""

    def __init__(self, root: Path, *, for_reading: bool = False) -> None:
        """Open the store at ``root``, or make it. Raises :class:`StoreError`.

        ``for_reading``: accept a store that cannot be written to; each write into it raises.
        """
        self.root = user_path(root).resolve()
        self._batches: set[str] | None = None
        self._locks: Locks | None = None
        self.layout = layout = StoreLayout(self.root)
        marker = layout.marker
        with _explained(self.root, StoreError):
            if marker.exists():  # nothing is made in a store that is refused
                records.check_document(_read_json(marker), "store", str(marker))
            else:
                self._refuse_other_folder(marker)
            for kind in KINDS:  # gc and verify remove what is in them
                refuse_links(self.root, layout.folder(kind), StoreError)
            if for_reading and marker.exists() and not self._can_be_written():
                return
            layout.tmp.mkdir(parents=True, exist_ok=True)
            if not self._can_be_written():
                raise self._unwritable()
            self._locks = Locks(layout.locks)
            # From here on gc keeps batches that no record names yet.
            self._locks.join()
        if not marker.exists():
            try:
                self._write(marker, records.document("store", {}))
            except WriteError as error:  # nothing is committed yet: there is nothing to resume
                raise StoreError(str(error)) from error

    @classmethod
    def existing(cls, root: Path) -> Store:
        """Open a store that must exist, for reading if it cannot be written to.

        Raises :class:`InputError` if it does not exist.
        """
        if not StoreLayout(output_path(root, "store")).exists:
            raise InputError(f"store={root}: is not a turbo-lab store; set store=DIRECTORY")
        return cls(root, for_reading=True)

    @property
    def locks(self) -> Locks:
        """Locks on its contents. Raises :class:`StoreError` if the store is open for reading."""
        if self._locks is None:
            raise self._unwritable()
        return self._locks

    @property
    def is_read_only(self) -> bool:
        """``True`` if the store is open for reading, because it cannot be written to."""
        return self._locks is None

    def check_writable(self) -> None:
        """Raise :class:`StoreError` if the store is open for reading; call it before long work."""
        _ = self.locks

    def _can_be_written(self) -> bool:
        """Return whether documents can be written aside, and renamed into each existing folder."""
        folders = [self.layout.folder(kind) for kind in KINDS]
        # A folder that is not there yet is made in the root.
        places = [*folders, self.layout.locks]
        return all(os.access(path if path.exists() else self.root, os.W_OK) for path in places)

    def _unwritable(self) -> StoreError:
        return StoreError(f"store={self.root}: cannot be written to; choose another folder")

    def _refuse_other_folder(self, marker: Path) -> None:
        """Refuse a folder with other files; a killed maker leaves ``tmp`` and ``claims`` only."""
        names = {path.name for path in self.root.iterdir()} if self.root.is_dir() else set()
        if names - {self.layout.tmp.name, self.layout.locks.name} and not marker.exists():
            raise StoreError(
                f"store={self.root}: is not a turbo-lab store and not empty; set store=DIRECTORY"
            )

    # batches

    def has_batch(self, key: str) -> bool:
        """Return whether a batch has this reuse key; the folders are listed once and remembered."""
        if self._batches is None:
            self._batches = {path.name for path in self.layout.batches()}
        return key in self._batches

    def batch_folder(self, key: str) -> Path:
        """Return the folder of a batch, which need not exist."""
        return self.layout.batch(key)

    def holds(self, key: str) -> bool:
        """Return whether a batch is on disk now, whichever process wrote it."""
        return self.layout.batch_document(key).exists()

    def lock(self, key: str, wait: bool = False) -> bool:
        """Lock a batch, so that another sweep on this store leaves it alone.

        See :meth:`turbo_lab.store.locks.Locks.acquire`.
        """
        with _explained(self.root):
            return self.locks.acquire(key, wait)

    def release(self, key: str) -> None:
        """Release the lock on a batch that was committed or has failed."""
        with _explained(self.root):
            self.locks.release(key)

    def read_batch(self, key: str) -> BatchRecord:
        """Read the document of a committed batch."""
        return self._read(self.layout.batch_document(key), records.read_batch)

    def commit_batch(self, batch: BatchRecord, files: Mapping[str, bytes]) -> None:
        """Write a batch's images and its document atomically."""
        final = self.batch_folder(batch.reuse_key)
        refuse_links(self.root, final.parent, StoreError)
        with _explained(self.root), self._aside() as partial:
            for name, content in files.items():
                (partial / name).write_bytes(content)
            text = records.dump(records.document("batch", batch))
            (partial / self.layout.batch_document(batch.reuse_key).name).write_text(
                text, encoding="utf-8"
            )
            _sync_filesystem(partial)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.rename(final)
            except OSError as error:
                # Another sweep was first: equal keys are equal content, keep its folder.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        if self._batches is not None:
            self._batches.add(batch.reuse_key)

    # records, measurements, timings and sweeps

    def record_path(self, name: str) -> Path:
        """Return the file of a record, which need not exist."""
        return self.layout.record(name)

    def read_record(self, name: str) -> Record | None:
        """Read a record by its id; ``None`` if there is none."""
        path = self.record_path(name)
        return self._read(path, records.read_record) if path.exists() else None

    def write_record(self, record: Record) -> Path:
        """Write a record unless there is one; a failed record is replaced."""
        path, name = self.record_path(record.record_id), record.record_id
        # Two sweeps end with the same cell: the second must see the first one's record.
        self.lock(name, wait=True)
        try:
            old = self.read_record(name)
            if old is None or old.status == CellStatus.FAILED:
                self._write(path, records.document("record", record))
        finally:
            self.release(name)
        return path

    def records(self) -> Iterator[Record]:
        """Yield all records, in the order of their ids."""
        for path in self.layout.records():
            yield self._read(path, records.read_record)

    def write_measurement(self, name: str, measurement: Measurement) -> Path:
        """Write a record's measurement, by metric and fingerprint."""
        path = self.layout.measurement(name, measurement.name, measurement.fingerprint)
        self._write(path, records.document("measurement", measurement))
        return path

    def measurements(self, name: str) -> list[Measurement]:
        """Read all measurements of a record."""
        folder = self.layout.measurements(name)
        return [self.read_measurement(path) for path in sorted(folder.glob("*.json"))]

    def read_measurement(self, path: Path) -> Measurement:
        """Read one measurement."""
        return self._read(path, records.read_measurement)

    def write_timing(self, name: str, timing: Timing) -> Path:
        """Add a timing to a record; earlier ones stay."""
        moment = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        path = self.layout.timings(name) / f"{moment}.json"
        self._write(path, records.document("timing", timing))
        return path

    def timings(self, name: str) -> list[Timing]:
        """Read all timings of a record, oldest first."""
        folder = self.layout.timings(name)
        return [self.read_timing(path) for path in sorted(folder.glob("*.json"))]

    def read_timing(self, path: Path) -> Timing:
        """Read one timing."""
        return self._read(path, records.read_timing)

    def read_document(self, cls: type[T], kind: str, path: Path) -> T:
        """Return what a document of a kind describes. Raises :class:`StoreError` if it is damaged.

        For documents that the store keeps and does not read itself.
        """
        return self._read(path, lambda values, where: records.read_kind(cls, kind, values, where))

    def read_text(self, path: Path) -> str:
        """Read a text file of the store. Raises :class:`StoreError` if it cannot be read."""
        with _explained(path, StoreError, reading=True):
            refuse_links(self.root, path, StoreError)
            return read_regular(path, error=StoreError).decode()

    def begin_sweep(self, sweep_id: str, values: object) -> None:
        """Note what a sweep is about to make; ``values`` is a dataclass."""
        path = self.sweep_files(sweep_id).begun
        self._write(path, records.document("begun", values))

    def cut_off_sweeps(self) -> list[SweepFiles]:
        """Return the sweeps that were cut off, in the order of their ids."""
        sweeps = self.layout.sweeps()
        return [one for one in sweeps if one.begun.exists() and not one.document.exists()]

    def read_note(self, path: Path) -> dict[str, Any]:
        """Read a file whose loss only costs time; return an empty object if it is unreadable."""
        try:
            values = parse_json(read_regular(path, error=StoreError).decode())
        except (OSError, ValueError, StoreError):
            return {}
        return values if isinstance(values, dict) else {}

    def sweep_files(self, sweep_id: str) -> SweepFiles:
        """Return the paths of a sweep's files; their folder is made on first use."""
        files = self.layout.sweep(sweep_id)
        refuse_links(self.root, files.folder, StoreError)
        with _explained(files.folder):
            files.folder.mkdir(parents=True, exist_ok=True)
        return files

    def write_document(self, path: Path, values: Mapping[str, object]) -> None:
        """Write a JSON document into the store, atomically."""
        self._write(path, values)

    def write_file(self, path: Path, content: bytes) -> None:
        """Write a file into the store, atomically."""
        refuse_links(self.root, path.parent, StoreError)
        with _explained(self.root), self._aside() as partial:
            file = partial / path.name
            with file.open("wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            path.parent.mkdir(parents=True, exist_ok=True)
            file.replace(path)

    def _write(self, path: Path, values: Mapping[str, object]) -> None:
        self.write_file(path, records.dump(values).encode())

    def _read(self, path: Path, read: Callable[[dict[str, Any], str], T]) -> T:
        """Read a document; raise :class:`StoreError` if it is damaged."""
        with _explained(path, StoreError, reading=True):
            refuse_links(self.root, path, StoreError)
            values = _read_json(path)
        try:
            return read(values, str(path))
        except KeyError as error:
            raise _damaged(path, f"has no {error.args[0]}") from error
        except MALFORMED as error:
            raise _damaged(path, " ".join(str(error).split())) from error

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """Provide a folder under ``tmp`` that is removed afterwards in every case."""
        name = uuid.uuid4().hex
        # Locked before it exists: gc removes what no process has locked.
        self.locks.acquire(name)
        partial = self.layout.tmp / name
        try:
            partial.mkdir(parents=True)
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            self.locks.release(name)


def images_of(store: Store, record: Record) -> list[tuple[Path, str, str, int]]:
    """Return (path, pixel hash, prompt, seed) of every image of a record, in order."""
    rows = []
    for key in record.batches:
        folder = store.batch_folder(key)
        for image in store.read_batch(key).images:
            rows.append((folder / image.file, image.pixel_sha256, image.prompt, image.seed))
    return rows


def sources_of(store: Store, record: Record) -> tuple[str, ...]:
    """Return the source image's digest of every image of a record; empty for text to image."""
    entries = (image for key in record.batches for image in store.read_batch(key).images)
    return tuple(image.source for image in entries if image.source is not None)


def read_image(path: Path, pixel_sha256: str) -> np.ndarray:
    """Read a committed image, (H, W, 3) uint8. Raises :class:`StoreError` if its pixels differ."""
    from turbo_lab import images  # numpy and Pillow; planning needs neither

    try:
        pixels, _ = images.read_png(path, follow_links=False)
    except images.ImageFileError as error:
        raise _damaged(path, error.reason) from error
    except InputError as error:  # not a regular file
        raise StoreError(str(error)) from error
    if images.pixel_sha256(pixels) != pixel_sha256:
        raise _damaged(path, "its pixels are not those that were committed")
    return pixels


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = parse_json(read_regular(path, error=StoreError).decode())
    except ValueError as error:  # neither JSON nor, it may be, text
        raise _damaged(path, str(error)) from error
    if not isinstance(values, dict):
        raise _damaged(path, "it is not a JSON object")
    return values


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"{path}: is damaged ({reason}); turbo-lab store verify --remove-damaged removes it, "
        "then run the same command again"
    )


@contextmanager
def _explained(
    path: Path, kind: type[StoreError] = WriteError, reading: bool = False
) -> Iterator[None]:
    """Turn an ``OSError`` into one line for the user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            kind = WriteError
            remedy = "the disk is full; free some space and run the same command again to resume"
        elif reading and error.errno == errno.ENOENT:
            remedy = (
                "does not exist; turbo-lab store verify --remove-damaged removes what refers to "
                "it, then run the same command again"
            )
        elif error.errno in _UNWRITABLE:
            remedy = "cannot be written to; choose another folder with store=DIRECTORY"
        else:
            remedy = error.strerror or str(error)
            if kind is WriteError:
                remedy += "; committed work is kept: run the same command again to resume"
        raise kind(f"store: {error.filename or path}: {remedy}") from error


def _sync_filesystem(folder: Path) -> None:
    """Sync all files of a commit with one ``syncfs``; an ``fsync`` per file is slower."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        if not hasattr(libc, "syncfs"):  # not Linux
            os.sync()
        elif libc.syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)
