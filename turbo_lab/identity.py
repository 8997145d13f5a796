"""Content identity: canonical JSON and sha256 of values, files and folders.

Owns the meaning of "equal" for everything that has a digest. Refuses values without a
canonical form (NaN, infinities, sets, objects), because an identity must not depend on how a
value happens to print.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab.errors import MALFORMED, InputError

if TYPE_CHECKING:
    import numpy.typing as npt

_CHUNK_BYTES = 1 << 20
# Marks the digest of a file's tensors in the cache, where others are of whole files.
_TENSORS = "#tensors"
_MAX_TENSORS_BYTES = 1 << 30


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys, no spaces and no NaN; equal values give equal text.

    ``0`` and ``0.0`` differ, so validation must fix a field's type before it is hashed.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def as_plain(value: Any) -> Any:
    """Return the nested dicts and lists that a value is stored and hashed as."""
    if type(value) in (str, int, float, bool, type(None)):  # the usual case first, for speed
        return value
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: as_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    return value


def sha256_text(text: str) -> str:
    """Return the sha256 of UTF-8 text, in lower-case hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digest(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON."""
    return sha256_text(canonical_json(value))


def array_sha256(dtype: str, values: npt.NDArray[Any]) -> str:
    """Return the sha256 of the line ``dtype shape`` followed by the values, rows first.

    ``dtype`` names the tensor's type, such as ``bfloat16``; ``values`` may have a wider one.
    """
    state = hashlib.sha256(f"{dtype} {values.shape}\n".encode("ascii"))
    state.update(values.tobytes())
    return state.hexdigest()


class DigestCache:
    """Cache of files' sha256 by size, mtime and inode, in one JSON-lines file.

    Without it, gigabytes of weights would be hashed at every start. A digest is appended in one
    ``write`` of one line, so that processes can share the file. A line that a crash cut short
    is skipped.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or user_cache() / "digests.jsonl"
        self._known: dict[str, tuple[list[int], str]] | None = None

    def file(self, path: Path) -> str:
        """Return the digest of one file; raises ``OSError`` if it cannot be read."""
        path = path.resolve()
        mark = _mark(path)
        return self._cached(str(path), mark) or self._hash(path, mark)

    def tensors(self, path: Path) -> str | None:
        """Return the sha256 of what follows a safetensors file's header, as AutoV3 hashes it.

        ``None`` for a file of over 1 GiB, unless it is cached. Raises ``OSError``.
        """
        path = path.resolve()
        mark, name = _mark(path), f"{path}{_TENSORS}"
        found = self._cached(name, mark)
        if found is not None or path.stat().st_size > _MAX_TENSORS_BYTES:
            return found
        with path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
        return self._keep(name, mark, hash_file(path, start))

    def find(self, beginning: str) -> Path | None:
        """Return an unchanged file whose cached digest begins so; ``None``: none is known.

        The digest may be that of the file or of its tensors. Hashes nothing.
        """
        for name, (mark, value) in sorted(self._read().items()):
            path = Path(name.removesuffix(_TENSORS))
            if value.startswith(beginning) and path.is_file() and _mark(path) == mark:
                return path
        return None

    def _cached(self, name: str, mark: list[int]) -> str | None:
        """Return the cached digest under a name; ``None`` if there is none for this file."""
        if self._known is None:
            self._known = self._read()
        known = self._known.get(name)
        return known[1] if known and known[0] == mark else None

    def verify(self) -> Iterator[tuple[Path, bool]]:
        """Hash every cached file that looks unchanged; yield it and whether it is unchanged.

        A file with other bytes gets its new digest in the cache. Files that are gone or have
        another size or time are skipped, because their next use hashes them again.
        """
        self._known = self._read()
        for name, (mark, value) in sorted(self._known.items()):
            path = Path(name)
            if path.is_file() and _mark(path) == mark:
                yield path, self._hash(path, mark) == value

    def _hash(self, path: Path, mark: list[int]) -> str:
        return self._keep(str(path), mark, hash_file(path))

    def _keep(self, name: str, mark: list[int], value: str) -> str:
        """Put a digest into the cache, unless it is there."""
        assert self._known is not None
        if self._known.get(name) != (mark, value):
            self._known[name] = (mark, value)
            self._append({"path": name, "mark": mark, "sha256": value})
        return value

    def folder(self, root: Path, files: Iterable[Path]) -> dict[str, str]:
        """Return the digests of files by their POSIX path relative to ``root``."""
        return {f.relative_to(root).as_posix(): self.file(f) for f in sorted(files)}

    def _read(self) -> dict[str, tuple[list[int], str]]:
        known: dict[str, tuple[list[int], str]] = {}
        if self._path.exists():
            text = self._path.read_text(encoding="utf-8", errors="replace")
            for line in text.splitlines():
                try:
                    row = json.loads(line)
                    known[row["path"]] = (row["mark"], row["sha256"])
                except (*MALFORMED, RecursionError):  # cut short by a crash, or damaged
                    continue
        return known

    def _append(self, row: Mapping[str, object]) -> None:
        line = (json.dumps(row) + "\n").encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be written ({error.strerror}); set TURBO_LAB_CACHE to a "
                "folder that can be written"
            ) from error
        try:
            os.write(handle, line)
        finally:
            os.close(handle)


def _mark(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def hash_file(path: Path, start: int = 0) -> str:
    """Return the sha256 of a file's bytes from ``start`` on, read in chunks."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(_CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


def user_cache() -> Path:
    """Return the folder of derived files: ``$TURBO_LAB_CACHE``, else the XDG cache folder."""
    if own := os.environ.get("TURBO_LAB_CACHE"):
        return Path(own)
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "turbo-lab"
    try:
        return Path.home() / ".cache" / "turbo-lab"
    except RuntimeError as error:  # a container with a numeric user and no HOME
        raise InputError("TURBO_LAB_CACHE: there is no home folder; set it to a folder") from error
