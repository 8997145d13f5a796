"""Equal values are equal bytes; what has no canonical form is refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab import identity
from turbo_lab.identity import DigestCache, canonical_json, digest, hash_file

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars.filter(lambda v: not isinstance(v, float) or math.isfinite(v)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


@given(values)
def test_canonical_json_reads_back(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


def test_numbers_of_other_types_differ() -> None:
    assert len({digest(0), digest(0.0), digest(False), digest("0")}) == 4


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [math.nan]}])
def test_non_finite_numbers_are_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        digest(value)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", Path("x")])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        digest(value)


def test_a_known_digest() -> None:
    text = '{"a":[1,"é"],"b":null}'
    assert canonical_json({"b": None, "a": [1, "é"]}) == text
    assert digest({"b": None, "a": [1, "é"]}) == hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were really read."""
    seen: list[Path] = []

    def spy(path: Path) -> str:
        seen.append(path)
        return hash_file(path)

    monkeypatch.setattr(identity, "hash_file", spy)
    return seen


def test_a_file_is_hashed_once(tmp_path: Path, hashed: list[Path]) -> None:
    path, store = tmp_path / "w", tmp_path / "cache" / "digests.jsonl"
    path.write_bytes(b"weights")
    expected = hashlib.sha256(b"weights").hexdigest()
    cache = DigestCache(store)
    assert cache.file(path) == cache.file(path) == DigestCache(store).file(path) == expected
    assert len(hashed) == 1


def test_a_changed_file_is_hashed_again(tmp_path: Path, hashed: list[Path]) -> None:
    path, store = tmp_path / "w", tmp_path / "digests.jsonl"
    path.write_bytes(b"one")
    before = DigestCache(store).file(path)
    stat = path.stat()
    path.write_bytes(b"two")  # the same size, perhaps within the clock's grain
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    after = DigestCache(store).file(path)
    assert before != after == hashlib.sha256(b"two").hexdigest()
    assert len(hashed) == 2


def test_a_file_put_in_its_place_is_hashed_again(tmp_path: Path, hashed: list[Path]) -> None:
    path, store = tmp_path / "w", tmp_path / "digests.jsonl"
    path.write_bytes(b"one")
    DigestCache(store).file(path)
    stat = path.stat()
    new = tmp_path / "new"
    new.write_bytes(b"two")
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.rename(path)
    assert DigestCache(store).file(path) == hashlib.sha256(b"two").hexdigest()


def test_verify_finds_bytes_that_changed_behind_an_unchanged_mark(tmp_path: Path) -> None:
    store = tmp_path / "digests.jsonl"
    sound, edited, gone, newer = (tmp_path / name for name in ("a", "b", "c", "d"))
    for path in (sound, edited, gone, newer):
        path.write_bytes(b"one")
        DigestCache(store).file(path)
    stat = edited.stat()
    edited.write_bytes(b"two")
    os.utime(edited, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    gone.unlink()
    newer.write_bytes(b"three")
    # It is what makes verifying worth while: the mark alone tells nothing.
    assert DigestCache(store).file(edited) == hashlib.sha256(b"one").hexdigest()
    assert list(DigestCache(store).verify()) == [(sound, True), (edited, False)]
    assert DigestCache(store).file(edited) == hashlib.sha256(b"two").hexdigest()
    assert list(DigestCache(store).verify()) == [(sound, True), (edited, True)]


@pytest.mark.parametrize("keep", [0, 1, 20, -1, -3])
def test_a_line_cut_by_a_crash_is_passed_over(tmp_path: Path, keep: int) -> None:
    store = tmp_path / "digests.jsonl"
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"a")
    second.write_bytes(b"b")
    DigestCache(store).file(first)
    whole = store.read_bytes()
    store.write_bytes(whole + whole[:keep])
    assert DigestCache(store).file(second) == hashlib.sha256(b"b").hexdigest()
    cache = DigestCache(store)
    assert cache.file(first) == hashlib.sha256(b"a").hexdigest()
    assert cache.file(second) == hashlib.sha256(b"b").hexdigest()


def test_a_folder_by_relative_paths(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    files = [tmp_path / "x" / "b", tmp_path / "a"]
    for file in files:
        file.write_bytes(b"")
    found = DigestCache(tmp_path / "digests.jsonl").folder(tmp_path, files)
    assert list(found) == ["a", "x/b"]


def test_a_file_that_is_gone_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DigestCache(tmp_path / "digests.jsonl").file(tmp_path / "gone")


@pytest.mark.parametrize("line", [b"[]", b"7", b'{"path": 1}', b'{"path": [], "mark": 1}', b"\xff"])
def test_a_line_of_anything_else_is_passed_over(tmp_path: Path, line: bytes) -> None:
    cache, file = tmp_path / "digests.jsonl", tmp_path / "file"
    file.write_bytes(b"x")
    known = DigestCache(cache).file(file)
    cache.write_bytes(line + b"\n" + cache.read_bytes())
    assert DigestCache(cache).file(file) == known == hash_file(file)


def test_the_tensors_of_a_file_have_a_digest_of_their_own(tmp_path: Path) -> None:
    """AutoV3, as A1111 and CivitAI compute it: the header may change, the tensors may not."""
    header, other = b'{"a":1}', b'{"__metadata__":{"title":"x"}}'
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    for path, head in ((one, header), (two, other)):
        path.write_bytes(len(head).to_bytes(8, "little") + head + b"weights")
    cache = DigestCache(tmp_path / "digests.jsonl")
    wanted = hashlib.sha256(b"weights").hexdigest()
    assert cache.tensors(one) == cache.tensors(two) == wanted
    assert cache.file(one) == hash_file(one) != wanted
    again = DigestCache(tmp_path / "digests.jsonl")
    assert (again.tensors(one), again.file(one)) == (wanted, hash_file(one))
    assert [path for path, _ in again.verify()] == [one]


def test_a_large_file_is_not_hashed_for_its_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(bytes(8) + b"12345")
    cache = DigestCache(tmp_path / "digests.jsonl")
    monkeypatch.setattr(identity, "_MAX_TENSORS_BYTES", 12)
    assert cache.tensors(path) is None
    monkeypatch.setattr(identity, "_MAX_TENSORS_BYTES", 13)
    assert cache.tensors(path) == hashlib.sha256(b"12345").hexdigest()


def test_a_file_is_found_by_the_beginning_of_a_known_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(bytes(8) + b"weights")
    cache = DigestCache(tmp_path / "digests.jsonl")
    assert cache.find(hash_file(path)[:10]) is None  # nothing is hashed to find it
    whole, tensors = cache.file(path), cache.tensors(path)
    assert tensors is not None
    assert cache.find(whole[:10]) == cache.find(tensors[:12]) == path
    assert cache.find("0" * 12) is None
    path.write_bytes(bytes(8) + b"others")
    assert cache.find(whole[:10]) is None
