"""Headers of weight files: what is read, and what each file that is not one is called."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.untrusted.headers import read_header, refuse_lfs_pointer

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 833752\n"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    tensors = {"w": np.ones((3, 2), np.float32), "b": np.ones((3,), np.float16)}
    save_file(tensors, path, metadata={"from": "test"})
    return path


def with_header(path: Path, header: object) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def test_shapes_and_metadata(whole: Path) -> None:
    header = read_header(whole, "lora=a")
    assert header.shapes == {"w": (3, 2), "b": (3,)}
    assert header.metadata == {"from": "test"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, r"is a Git LFS pointer, not the file of 833,752 bytes itself; run git lfs pull"),
        (POINTER[:60], r"is a Git LFS pointer, not the file itself"),
        (b"PK\x03\x04rest", "is a pickle under another name; turbo-lab loads safetensors only"),
        (b"<!DOCTYPE html><title>Log in", "is a web page; download the file itself"),
        (b"", r"is not a safetensors file \(it is empty\)"),
        (b"\x09\0\0\0\0\0\0\0[1,2,3,4]", r"is not a safetensors file \(it has no header\)"),
        (
            b"\x09\0\0\0\0\0\0\0{1,2,3,4}",
            r"is not a safetensors file \(its header is not a JSON object",
        ),
        (b"\xff\0\0\0\0\0\0\0{", r"is cut off \(9 bytes, its header needs 263\)"),
    ],
)
def test_what_is_not_a_safetensors_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^lora=a: .*a.safetensors {message}"):
        read_header(path, "lora=a")


def test_a_download_that_was_cut_off(whole: Path) -> None:
    content = whole.read_bytes()
    for length in (len(content) - 1, len(content) // 2, 9):
        whole.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"is cut off \([\d,]+ bytes, its header needs"):
            read_header(whole, "model")


@pytest.mark.parametrize(
    "entry",
    [
        [],
        {"shape": [2]},
        {"shape": [-1], "data_offsets": [0, 4]},
        {"shape": [True], "data_offsets": [0, 4]},
        {"shape": [1], "data_offsets": [0]},
        {"shape": "2", "data_offsets": [0, 4]},
    ],
)
def test_a_damaged_entry_is_named(tmp_path: Path, entry: object) -> None:
    path = with_header(tmp_path / "a.safetensors", {"unet.w": entry})
    with pytest.raises(InputError, match=r"its header does not describe 'unet.w'"):
        read_header(path, "model")


def test_deep_headers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    text = b'{"a":' + b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(InputError, match="is not a safetensors file"):
        read_header(path, "model")


def test_absent_files(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match="cannot be read"):
        read_header(tmp_path / "none.safetensors", "model")


def test_pointers_among_other_files(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_bytes(POINTER)
    with pytest.raises(InputError, match=r"vocab.json is a Git LFS pointer"):
        refuse_lfs_pointer(path, "model")
    path.write_text("{}")
    refuse_lfs_pointer(path, "model")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    for content in (data, struct.pack("<Q", len(data)) + data):
        path.write_bytes(content)
        try:
            header = read_header(path, "model")
        except InputError:
            continue
        assert all(isinstance(shape, tuple) for shape in header.shapes.values())
