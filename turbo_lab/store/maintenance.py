"""Maintenance of a store: find damage, show disk space, remove what is not needed.

Owns ``verify``, ``du`` and ``gc``. Never removes what a running sweep may be using: an unfinished
write is removed only if no process holds its lock; damaged files, and files that no record names,
only while no other process has the store open.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from turbo_lab import images
from turbo_lab.cards import pinned_revisions
from turbo_lab.errors import IncompleteError, StoreError, TurboLabError
from turbo_lab.store.identities import batch_problem, record_problem, timing_problem
from turbo_lab.store.judgement import Judgement
from turbo_lab.store.layout import KINDS
from turbo_lab.store.record import BatchRecord, CellStatus, Record
from turbo_lab.store.store import Store

ReadSweep = Callable[[Store, Path], Sequence[Path]]
"""Function that reads a sweep's document or note and returns the files that it names; raises
:class:`StoreError` if it is damaged."""


@dataclass(frozen=True)
class Damage:
    """One file or folder that differs from what was committed."""

    path: Path
    """A batch's folder, a document, or the folder of a record's measurements or timings."""
    reason: str
    """Description of the damage."""
    is_broken: bool
    """``True``: removing it repairs the store. ``False``: the next sweep makes what is missing."""


@dataclass(frozen=True)
class Usage:
    """Disk space of one kind of file, or of one model's images."""

    kind: str
    """Kind of file, or digest of the model."""
    name: str | None
    """Name of the model. ``None``: it is a kind of file, or no record names the model."""
    files: int
    """Number of files."""
    size_bytes: int
    """Size of the files, in bytes."""


@dataclass(frozen=True)
class Garbage:
    """One file or folder that is not needed."""

    path: Path
    """A folder, or a file under ``tmp``."""
    reason: str
    """Why it can be removed."""
    size_bytes: int
    """Disk space that this frees, in bytes."""


def verify(store: Store, read_sweep: ReadSweep) -> Iterator[Damage]:
    """Yield damaged files, then files whose dependencies are missing.

    A sweep may run meanwhile: it writes batches, then their record, then the record's
    measurements. They are listed in the opposite order, so that a running sweep causes no false
    report.
    """
    folders_of_records = _folders_of_records(store)
    record_paths = _real(store.layout.records())
    yield from _links(store)
    sound: dict[str, BatchRecord] = {}
    for folder in _real(store.layout.batches()):
        try:
            sound[folder.name] = _checked_batch(store, folder)
        except TurboLabError as error:
            yield Damage(folder, _line(error), is_broken=True)
    known: dict[str, str] = {}
    for path in record_paths:
        try:
            record = _checked_record(store, path, sound)
        except TurboLabError as error:
            yield Damage(path, _line(error), is_broken=True)
            continue
        known[path.stem] = record.cell_id
        if missing := _missing_batches(record, sound):
            batches = "1 batch that is" if missing == 1 else f"{missing} batches that are"
            reason = f"names {batches} missing or damaged"
            yield Damage(path, reason, is_broken=False)
    yield from _damaged_parts(store, folders_of_records, known)
    yield from _damaged_sweeps(store, read_sweep)
    yield from _damaged_judgements(store)
    try:
        pinned_revisions(store.layout.revisions)
    except TurboLabError as error:
        yield Damage(store.layout.revisions, _line(error), is_broken=True)


def _links(store: Store) -> Iterator[Damage]:
    """Yield folders that are links: their targets are not the store's and are never removed."""
    for kind in KINDS:
        for path in sorted(store.layout.folder(kind).glob("*")):
            if path.is_symlink():
                yield Damage(path, "is a symbolic link", is_broken=True)


def _real(paths: Iterable[Path]) -> list[Path]:
    """Return paths of the layout in order, without those that a linked folder leads to."""
    found = sorted(paths)
    links = {folder for folder in {path.parent for path in found} if folder.is_symlink()}
    return [path for path in found if path.parent not in links]


def _checked_batch(store: Store, folder: Path) -> BatchRecord:
    """Return a batch whose ids and pixels are those of its document. Raises ``TurboLabError``."""
    batch = store.read_batch(folder.name)
    if batch.reuse_key != folder.name:
        raise StoreError(f"is the batch {batch.reuse_key[:12]}")
    if not batch.images:
        raise StoreError("has no images")
    if (problem := batch_problem(batch)) is not None:
        raise StoreError(problem)
    for entry in batch.images:
        pixels, _ = images.read_png(folder / entry.file, follow_links=False)
        if images.pixel_sha256(pixels) != entry.pixel_sha256:
            raise StoreError(f"{entry.file} has pixels that were not committed")
    return batch


def _checked_record(store: Store, path: Path, sound: Mapping[str, BatchRecord]) -> Record:
    """Return a record whose ids are those of its content. Raises ``TurboLabError``."""
    record = store.read_record(path.stem)
    if record is None or record.record_id != path.stem:
        raise StoreError(f"is the record {record and record.record_id[:12]}")
    if (problem := record_problem(record, sound)) is not None:
        raise StoreError(problem)
    return record


def _missing_batches(record: Record, sound: Collection[str]) -> int:
    """Count a finished record's batches that are missing or damaged."""
    return 0 if record.status == CellStatus.FAILED else len(set(record.batches) - set(sound))


def _folders_of_records(store: Store) -> list[Path]:
    """Return the folders of the records' measurements and timings."""
    return [one for one in store.layout.measured_or_timed() if not one.is_symlink()]


def _damaged_parts(
    store: Store, folders: Iterable[Path], known: Mapping[str, str]
) -> Iterator[Damage]:
    """Yield damaged measurements and timings, and those whose record is not ``known``.

    ``known``: cell by the id of its record.
    """
    for folder in folders:
        if folder.name not in known:
            yield Damage(folder, "belongs to no record that can be read", is_broken=False)
        is_timing = store.layout.is_timing(folder)
        for path in sorted(folder.glob("*.json")):
            try:
                if is_timing:
                    _check_timing(store, path, known.get(folder.name))
                else:
                    store.read_measurement(path)
            except TurboLabError as error:
                yield Damage(path, _line(error), is_broken=True)


def _check_timing(store: Store, path: Path, timed_cell: str | None) -> None:
    """Raise ``TurboLabError`` for a timing that cannot be read, or of another cell."""
    timing = store.read_timing(path)
    if timed_cell is not None and (problem := timing_problem(timing, timed_cell)) is not None:
        raise StoreError(problem)


def _damaged_sweeps(store: Store, read_sweep: ReadSweep) -> Iterator[Damage]:
    for sweep in store.layout.sweeps():
        if sweep.folder.is_symlink():
            continue
        for path in (sweep.begun, sweep.document):
            try:
                named = read_sweep(store, path) if os.path.lexists(path) else ()
            except TurboLabError as error:
                yield Damage(path, _line(error), is_broken=True)
                continue
            if missing := sum(not file.exists() for file in named):
                yield Damage(
                    path,
                    f"names files that are missing: {missing} of {len(named)}",
                    is_broken=False,
                )


def _damaged_judgements(store: Store) -> Iterator[Damage]:
    for files in store.layout.judgements():
        if files.folder.is_symlink():
            continue
        try:
            Judgement.read(store, files.judgement_id)
        except TurboLabError as error:
            yield Damage(files.folder, _line(error), is_broken=True)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def remove_damaged(store: Store, read_sweep: ReadSweep) -> tuple[list[Damage], list[Damage]]:
    """Delete what is broken, so that the next sweep makes it again.

    Returns the damage that was removed and the damage that is left. Raises
    :class:`IncompleteError` while another process has the store open.
    """
    with _alone(store):
        found = list(verify(store, read_sweep))
        broken = [damage for damage in found if damage.is_broken]
        for damage in broken:
            _remove(damage.path)
    return broken, [damage for damage in found if not damage.is_broken]


def usage(store: Store) -> tuple[list[Usage], list[Usage]]:
    """Return the disk space by kind of file, and that of the batches by model.

    The kind ``orphans`` is a part of the kind ``batches``.
    """
    by_kind = [_usage(kind, [store.layout.folder(kind)]) for kind in KINDS]
    by_kind.append(_usage("orphans", orphans(store)))
    names = {
        origin.digest: name
        for record in store.records()
        for name, origin in record.provenance.models.items()
    }
    folders: dict[str, list[Path]] = defaultdict(list)
    for folder in _real(store.layout.batches()):
        folders[_model_of(store, folder)].append(folder)
    by_model = [_usage(model, found, names.get(model)) for model, found in folders.items()]
    return by_kind, sorted(by_model, key=lambda row: -row.size_bytes)


def _model_of(store: Store, folder: Path) -> str:
    try:
        return store.read_batch(folder.name).recipe.model
    except TurboLabError:  # verify says why
        return "unreadable"


def _usage(kind: str, folders: Iterable[Path], name: str | None = None) -> Usage:
    sizes = [size for folder in folders for size in _sizes(folder)]
    return Usage(kind, name, len(sizes), sum(sizes))


def _sizes(folder: Path) -> Iterator[int]:
    walked = os.walk(folder, onerror=_unless_gone)
    inside = (Path(root, name) for root, _, names in walked for name in names)
    for path in [folder] if folder.is_file() else inside:
        with suppress(FileNotFoundError):  # a running sweep's write has ended meanwhile
            yield path.stat().st_size


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def orphans(store: Store) -> list[Path]:
    """Return the batches that no record names, such as those of a sweep that was cut off.

    Raises :class:`StoreError` if a record cannot be read: its batches must not count as orphans.
    """
    # Batches first: a running sweep writes a record after them.
    folders = _real(store.layout.batches())
    named = {key for record in store.records() for key in record.batches}
    return [folder for folder in folders if folder.name not in named]


def gc(store: Store, with_orphans: bool = False, dry_run: bool = False) -> list[Garbage]:
    """Remove unfinished writes that no process holds; return what was, or would be, removed.

    ``with_orphans``: also remove batches, measurements and timings that no record names. Raises
    :class:`IncompleteError` for those while another process has the store open.
    """
    found = []
    for path in sorted(store.layout.tmp.iterdir()):
        if not store.locks.acquire(path.name):
            continue
        # It may have been finished since it was listed; from here on it is ours.
        if path.exists():
            found.append(Garbage(path, "unfinished write", sum(_sizes(path))))
            if not dry_run:
                _remove(path)
        store.locks.release(path.name)
    if with_orphans:
        with _alone(store):
            unnamed = _unnamed(store)
            for garbage in [] if dry_run else unnamed:
                _remove(garbage.path)
        found += unnamed
    return found


def _unnamed(store: Store) -> list[Garbage]:
    known = {record.record_id for record in store.records()}
    strays = [folder for folder in _folders_of_records(store) if folder.name not in known]
    batches = [Garbage(path, "no record names it", sum(_sizes(path))) for path in orphans(store)]
    return batches + [Garbage(path, "its record is missing", sum(_sizes(path))) for path in strays]


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    with store.locks.alone() as is_alone:
        if not is_alone:
            raise IncompleteError(
                f"store={store.root}: another process has it open; "
                "run this again when its sweep has ended"
            )
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
