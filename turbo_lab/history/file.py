"""A history file: JSON Lines, one entry per line, appended by one writer at a time.

Owns its format and its integrity. Every line carries the sha256 of its content, so that a line
that was edited or cut off is named and never read as a measurement. Lines do not depend on one
another: two branches of a repository can be merged line by line.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from turbo_lab.documents.document import read_document, to_document
from turbo_lab.documents.history import HistoryEntry, HistoryRecorded
from turbo_lab.documents.output import check_writable
from turbo_lab.errors import InputError, StoreError
from turbo_lab.identity import canonical_json, sha256_text
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import check_regular, read_regular

DEFAULT_FILE = Path("turbo-lab-history.jsonl")
_KIND = "history entry"
_REMEDY = "restore the file from version control, or delete that line"


def append(path: Path, entries: Sequence[HistoryEntry]) -> HistoryRecorded:
    """Append entries that the file lacks, and make it if it does not exist.

    The lines are written at once, under a lock: two writers lose nothing. If the write fails, the
    file is as it was. Raises :class:`StoreError` for a damaged file or a failed write.
    """
    lines = {line.id: line.text for line in map(_Line.of, entries)}
    with _opened(path) as handle:
        content = read_regular(path, follow_links=True, error=StoreError)
        known = {identity for identity, _ in _checked_lines(content, path)}
        added = [text for identity, text in lines.items() if identity not in known]
        _write(handle, "".join(added).encode(), path)
    return HistoryRecorded(path.resolve(), added=len(added), already=len(lines) - len(added))


def check_history(path: Path) -> None:
    """Raise :class:`TurboLabError` if entries could not be appended to a file.

    Call it before long work, so that a wrong path or a damaged file costs nothing.
    """
    check_writable(path, "--history")
    if path.exists():
        list(_checked_lines(read_regular(path, follow_links=True, error=StoreError), path))


def read(path: Path) -> tuple[HistoryEntry, ...]:
    """Return the entries of a file in the order of their dates.

    Raises :class:`StoreError` for a file that does not exist or is damaged, with the line.
    """
    try:
        content = read_regular(path, follow_links=True, error=StoreError)
    except FileNotFoundError as error:
        raise StoreError(
            f"{path}: does not exist; add the first entry with --history {path}, an option of "
            "gate, bench and golden check"
        ) from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    entries = [entry for _, entry in _checked_lines(content, path)]
    if not entries:
        raise StoreError(f"{path}: has no entries; add one with --history {path}")
    return tuple(sorted(entries, key=lambda entry: entry.occasion.date))


class _Line:
    """One line of the file."""

    def __init__(self, identity: str, text: str) -> None:
        """``identity``: sha256 of the content; ``text``: the line with its line feed."""
        self.id, self.text = identity, text

    @classmethod
    def of(cls, entry: HistoryEntry) -> _Line:
        """Return the line of an entry."""
        content = to_document(_KIND, entry)
        identity = sha256_text(canonical_json(content))
        text = json.dumps({"id": identity, **content}, ensure_ascii=True, allow_nan=False)
        return cls(identity, text + "\n")


def _checked_lines(content: bytes, path: Path) -> Iterator[tuple[str, HistoryEntry]]:
    """Yield the id and entry of each line. Raises :class:`StoreError`."""
    lines = content.split(b"\n")
    if lines[-1]:
        raise StoreError(f"{path}: line {len(lines)} is cut off; {_REMEDY}")
    for number, line in enumerate(lines[:-1], start=1):
        where = f"{path}: line {number}"
        if not line.strip():
            continue
        try:
            values = parse_json(line)
        except ValueError as error:
            raise StoreError(f"{where} is damaged ({error}); {_REMEDY}") from error
        if not isinstance(values, dict):
            raise StoreError(f"{where} is damaged (it is not a JSON object); {_REMEDY}")
        identity = _checked_id(values, where)
        entry = read_document(HistoryEntry, _KIND, values, where)
        _check_date(entry.occasion.date, where)
        yield identity, entry


def _check_date(text: str, where: str) -> None:
    try:
        offset = datetime.datetime.fromisoformat(text).utcoffset()
    except ValueError:
        offset = None
    if offset != datetime.timedelta(0):
        raise StoreError(f"{where} is damaged (date {text[:40]!r} is not in UTC); {_REMEDY}")


def _checked_id(values: Mapping[str, Any], where: str) -> str:
    """Return the id of a line. Raises :class:`StoreError` if its content has another one."""
    content = {key: value for key, value in values.items() if key != "id"}
    identity = sha256_text(canonical_json(content))
    if values.get("id") != identity:
        raise StoreError(f"{where} was edited: its content does not match its id; {_REMEDY}")
    return identity


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the file for appending, alone, and make it and its folder if needed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            check_regular(path.resolve(), error=StoreError)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _write(handle: int, content: bytes, path: Path) -> None:
    """Write at the end; a write that fails is undone."""
    end = os.fstat(handle).st_size
    try:
        written = 0
        while written < len(content):
            written += os.write(handle, content[written:])
        os.fsync(handle)
    except OSError as error:
        os.ftruncate(handle, end)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> StoreError | InputError:
    cause = os.strerror(error.errno) if error.errno else "unknown"
    if error.errno == errno.ENOSPC:
        return StoreError(f"history={path}: cannot be written ({cause}); free some space")
    return InputError(f"history={path}: cannot be written ({cause}); name another file")
