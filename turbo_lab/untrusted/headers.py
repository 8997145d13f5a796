"""Headers of weight files that somebody else may have made: read and checked, without weights.

Owns what a file is when it is not the safetensors file that its name promises: a Git LFS
pointer, a web page, a pickle, a download that was cut off. Refuses each of them by name.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import open_regular

_MAX_HEADER_BYTES = 100 << 20  # the format's own limit
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x80\x05")  # torch.save, new and old


@dataclass(frozen=True)
class Header:
    """Tensors of a safetensors file, as its header describes them."""

    shapes: Mapping[str, tuple[int, ...]]
    """Name of each tensor to its shape."""
    metadata: Mapping[str, str]
    """Free text that the writer stored next to the tensors."""


def read_header(path: Path, field: str) -> Header:
    """Read the header of a safetensors file and compare it with the file's size.

    ``field``: what named the file, for messages. Raises :class:`InputError` for anything
    but a whole safetensors file, and :class:`MissingFilesError` if it cannot be read.
    """
    try:
        with open_regular(path, follow_links=True) as file:
            size = path.stat().st_size
            table, start = _table(file, size, path, field)
    except OSError as error:
        raise MissingFilesError(f"{field}: {path} cannot be read ({error.strerror})") from error
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _not_safetensors(path, field, "its metadata is not an object")
    end = start
    for name, about in table.items():
        shape, stop = _tensor(about)
        if shape is None:
            raise _not_safetensors(path, field, f"its header does not describe {name[:80]!a}")
        table[name], end = shape, max(end, start + stop)
    if size < end:
        raise cut_off(path, field, size, end)
    return Header(table, {str(key): str(value) for key, value in metadata.items()})


def refuse_lfs_pointer(path: Path, field: str) -> None:
    """Raise :class:`InputError` for a Git LFS pointer in place of a file; ``OSError`` if absent."""
    with open_regular(path, follow_links=True) as file:
        start = file.read(200)
    if start.startswith(_LFS_POINTER):
        raise _lfs_pointer(path, field, start)


def cut_off(path: Path, field: str, size: int, end: int) -> InputError:
    """Return the error for a file of ``size`` bytes whose header promises ``end``."""
    return InputError(
        f"{field}: {path} is cut off ({size:,} bytes, its header needs {end:,}); "
        "download or copy it again"
    )


def _table(file: BinaryIO, size: int, path: Path, field: str) -> tuple[dict[str, Any], int]:
    """Return the header's JSON object, and where the tensors begin."""
    head = file.read(200)
    if head.startswith(_LFS_POINTER):
        raise _lfs_pointer(path, field, head)
    if head.startswith(_PICKLES):
        raise InputError(
            f"{field}: {path} is a pickle under another name; turbo-lab loads safetensors only: "
            "save it with safetensors"
        )
    if head[:200].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise InputError(
            f"{field}: {path} is a web page; download the file itself (on the hub: resolve, not "
            "blob, in its address)"
        )
    length = struct.unpack("<Q", head[:8])[0] if len(head) >= 8 else _MAX_HEADER_BYTES + 1
    if length > _MAX_HEADER_BYTES or head[8:9] not in (b"{", b""):
        raise _not_safetensors(path, field, "it is empty" if not head else "it has no header")
    if size < 8 + length:
        raise cut_off(path, field, size, 8 + length)
    file.seek(8)
    try:
        table = parse_json(file.read(length))
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise _not_safetensors(path, field, "its header is not a JSON object")
    return table, 8 + length


def _tensor(about: Any) -> tuple[tuple[int, ...] | None, int]:
    """Return a tensor's shape and the end of its bytes; ``None`` for a damaged entry."""
    entry = about if isinstance(about, dict) else {}
    shape, offsets = _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        return None, 0
    return shape, offsets[1]


def _counts(values: Any) -> tuple[int, ...] | None:
    """Return a list of sizes as a tuple; ``None`` for anything else."""
    if not isinstance(values, list) or not all(type(n) is int and n >= 0 for n in values):
        return None
    return tuple(values)


def _lfs_pointer(path: Path, field: str, start: bytes) -> InputError:
    size = next((line[5:] for line in start.splitlines() if line.startswith(b"size ")), b"")
    about = f" of {int(size):,} bytes" if size.isdigit() else ""
    return InputError(
        f"{field}: {path} is a Git LFS pointer, not the file{about} itself; run git lfs pull in "
        "its repository, or download the file"
    )


def _not_safetensors(path: Path, field: str, reason: str) -> InputError:
    return InputError(f"{field}: {path} is not a safetensors file ({reason}); get the file again")
