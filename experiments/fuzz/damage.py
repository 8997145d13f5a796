"""Damage to files: cut, flipped and inserted bytes, and changes that keep a format's frame."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

# Values that a document of ours never has; each was the start of a fault in some program.
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "../../../etc/passwd",
    "/etc/passwd",
    "\x1b[31mred",
    "\ud800",
    "a\u0000b",
    "x" * 5000,
    [],
    {},
    [[]],
    {"": {}},
    [None],
)


def damaged(name: str, content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for damaged versions of a file; ``name`` tells its format."""
    ways: list[st.SearchStrategy[bytes]] = [_bytes(content)]
    if name.endswith(".json"):
        ways += [_document(content)] * 3
    elif name.endswith(".jsonl"):
        ways += [_lines(content)] * 2
    elif name.endswith(".png"):
        ways += [_png(content)] * 3
    elif name.endswith(".safetensors"):
        ways += [_safetensors(content)] * 3
    return st.one_of(ways)


def _bytes(content: bytes) -> st.SearchStrategy[bytes]:
    """Cut a file, put other bytes into it, or replace it."""
    at = st.integers(0, max(len(content) - 1, 0))
    piece = st.one_of(
        st.binary(min_size=1, max_size=8), st.sampled_from((b"\xff\xfe", b"\x00" * 64, b"\n"))
    )
    return st.one_of(
        at.map(lambda end: content[:end]),
        st.builds(lambda a, new: content[:a] + new + content[a + len(new) :], at, piece),
        st.builds(lambda a, new: content[:a] + new + content[a:], at, piece),
        st.sampled_from(
            (
                b"",
                b"[" * 200_000,
                b"\xef\xbb\xbf" + content,
                content.decode("latin-1").encode("utf-16"),
            )
        ),
    )


def _document(content: bytes) -> st.SearchStrategy[bytes]:
    """Change, remove or add one value of a JSON document."""
    try:
        document = json.loads(content)
    except ValueError:
        return _bytes(content)
    places = list(_places(document))
    if not places:
        return st.sampled_from(VALUES).map(_dump)
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    return st.one_of(
        st.builds(
            lambda place, value: _dump(_changed(document, place, lambda _: value)),
            st.sampled_from(places),
            st.sampled_from(VALUES),
        ),
        st.sampled_from(places).map(lambda place: _dump(_removed(document, place))),
        st.sampled_from(places).map(
            lambda place: _dump(_changed(document, place, lambda old: [old]))
        ),
        st.sampled_from(places).map(
            lambda place: _dump(_changed(document, place, lambda old: {"extra": old}))
        ),
        st.sampled_from(VALUES).map(_dump),
        st.just(deep),
        st.just(content.replace(b": ", b": " + b"9" * 5000, 1)),
    )


def _lines(content: bytes) -> st.SearchStrategy[bytes]:
    """Change one line of a JSON Lines file."""
    lines = content.splitlines()
    return st.builds(
        lambda at, value: b"\n".join([*lines[:at], value, *lines[at + 1 :]]),
        st.integers(0, len(lines) - 1),
        st.one_of(_document(lines[0]), st.sampled_from(VALUES).map(_dump)),
    )


def _dump(document: Any) -> bytes:
    """Write JSON as Python does, lone surrogates escaped."""
    return json.dumps(document).encode("ascii")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a document."""
    found: list[tuple[Any, ...]] = []
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value[:8]))
    for key, child in pairs:
        found += [(*path, key), *_places(child, (*path, key))]
    return found


def _changed(document: Any, place: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """Return a copy of a document with one value changed."""
    copy = json.loads(json.dumps(document))
    inside = copy
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = change(inside[place[-1]])
    return copy


def _removed(document: Any, place: tuple[Any, ...]) -> Any:
    """Return a copy of a document without one value."""
    copy = json.loads(json.dumps(document))
    inside = copy
    for key in place[:-1]:
        inside = inside[key]
    del inside[place[-1]]
    return copy


def _png(content: bytes) -> st.SearchStrategy[bytes]:
    """Change or add one chunk of a PNG file, with a right checksum."""
    chunks = _chunks(content)
    if not chunks:
        return _bytes(content)
    header = chunks[0][1]
    bomb = zlib.compress(b"\0" * 200_000_000, 9)
    added = (
        (b"tEXt", b"turbo-lab\0{"),
        (b"tEXt", b"parameters\0\x1b[31mred"),
        (b"zTXt", b"turbo-lab\0\0" + bomb),
        (b"iTXt", b"turbo-lab\0\1\0\0\0" + bomb),
        (b"iTXt", b"turbo-lab\0\0\0\0\0" + b'{"a":' * 50_000),
        (b"iTXt", b"turbo-lab\0\0\0\0\0\xff\xfe"),
        (b"iTXt", b"turbo-lab\0\0\0\0\0" + b"[" * 100_000),
        (b"iTXt", b"turbo-lab"),
        (b"eXIf", b"MM\0*\0\0\0\x08"),
        (b"iCCP", b"x\0\0" + zlib.compress(b"x")),
        (b"acTL", b"\0\0\0\x02\0\0\0\0"),
    )
    sizes = ((2**31 - 1, 2**31 - 1), (0, 0), (60_000, 60_000), (1, 2**31 - 1), (65, 64))
    headers = [struct.pack(">II", *size) + header[8:] for size in sizes]
    headers += [
        header[:8] + bytes((depth, colour)) + header[10:]
        for depth, colour in ((16, 2), (8, 3), (1, 0), (8, 6), (16, 0), (8, 9))
    ]
    return st.one_of(
        st.sampled_from(added).map(lambda new: _join([chunks[0], new, *chunks[1:]])),
        st.sampled_from(headers).map(lambda new: _join([(b"IHDR", new), *chunks[1:]])),
        st.integers(0, len(chunks) - 1).map(lambda at: _join([*chunks[:at], *chunks[at + 1 :]])),
        st.integers(0, len(chunks) - 1).map(lambda at: _join([*chunks[: at + 1], *chunks[at:]])),
    )


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return (kind, data) of each chunk of a PNG file."""
    found, at = [], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _join(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Write chunks as a PNG file."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        parts.append(len(data).to_bytes(4, "big") + kind + data)
        parts.append(zlib.crc32(kind + data).to_bytes(4, "big"))
    return b"".join(parts)


def _safetensors(content: bytes) -> st.SearchStrategy[bytes]:
    """Change the header of a safetensors file: its size, a shape, a type or an offset."""
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]

    def framed(new: bytes) -> bytes:
        return len(new).to_bytes(8, "little") + new + data

    return st.one_of(
        _document(header).map(framed),
        st.sampled_from((0, 1, size + 1, len(content), 2**40, 2**63, 2**64 - 1)).map(
            lambda wrong: wrong.to_bytes(8, "little") + content[8:]
        ),
    )
