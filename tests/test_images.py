"""PNG files carry their recipe; hashes are of pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from turbo_lab.errors import InputError
from turbo_lab.images import (
    decode_png,
    encode_png,
    pixel_sha256,
    read_photo,
    read_png,
    read_texts,
)

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"))


def pixels(seed: int = 0, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.dictionaries(KEYS, TEXTS, max_size=3))
def test_text_and_pixels_survive_a_file(
    tmp_path_factory: pytest.TempPathFactory, text: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    path.write_bytes(encode_png(pixels(), text))
    again, found = read_png(path)
    assert np.array_equal(again, pixels())
    assert found == text


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3))
def test_pixel_hash_is_as_documented(height: int, width: int, seed: int) -> None:
    image = pixels(seed, height, width)
    expected = hashlib.sha256(f"{width}x{height}\n".encode() + image.tobytes()).hexdigest()
    assert pixel_sha256(image) == expected
    # The same numbers in another memory order are the same picture.
    assert pixel_sha256(np.asfortranarray(image)) == expected


def test_transposed_picture_of_equal_bytes_has_another_hash() -> None:
    flat = np.zeros((2, 3, 3), np.uint8)
    assert pixel_sha256(flat) != pixel_sha256(flat.reshape(3, 2, 3))


@pytest.mark.parametrize("bad", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.float32)])
def test_pixel_hash_refuses_what_is_no_rgb_image(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"not \(H, W, 3\) uint8"):
        pixel_sha256(bad)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_png(tmp_path / "absent.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(encode_png(pixels(0, 64, 64), {})[:200])
    with pytest.raises(InputError, match="cannot be read as a PNG"):
        read_png(cut)
    jpeg = tmp_path / "photo.png"
    Image.fromarray(pixels()).save(jpeg, "JPEG")
    with pytest.raises(InputError, match="is a JPEG file"):
        read_png(jpeg)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 64 64
%%EndComments
showpage
"""


def test_a_file_of_another_format_is_not_given_to_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow has Ghostscript run an EPS file under any name: it is a program."""
    ran, ghostscript, picture = tmp_path / "ran", tmp_path / "gs", tmp_path / "a.png"
    ghostscript.write_text(f"#!/bin/sh\ntouch {ran}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    picture.write_bytes(EPS)
    with pytest.raises(InputError, match="it is none of PNG, JPEG, WebP and BMP"):
        read_photo(picture)
    with pytest.raises(InputError, match="cannot be read as a PNG"):
        read_png(picture)
    with pytest.raises(OSError, match="cannot identify"):
        decode_png(EPS)
    assert not ran.exists()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_photos_are_read_in_the_formats_of_photos(tmp_path: Path, file_format: str) -> None:
    picture = tmp_path / "photo"
    Image.fromarray(pixels()).save(picture, file_format)
    assert read_photo(picture)[0].shape == (5, 7, 3)


def test_texts_of_a_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(np.zeros((2, 2, 3), np.uint8), {"parameters": "größe", "x": "y"}))
    assert read_texts(path) == {"parameters": "größe", "x": "y"}


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_the_comment_of_a_photo_is_its_parameters(
    tmp_path: Path, suffix: str, encoding: str
) -> None:
    """A1111 writes a JPEG's and WebP's text there, through piexif: big-endian."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a größe\nSteps: 1".encode(encoding)
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    assert read_texts(path)["parameters"] == "a größe\nSteps: 1"


@pytest.mark.parametrize("comment", [b"ASCII\0\0\0text", b"UNICODE\0\xd8", b"", b"UNICODE\0"])
def test_another_comment_is_none(tmp_path: Path, comment: bytes) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    assert len(read_texts(path).get("parameters", "")) <= 1


def test_texts_of_what_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.png: cannot be read as an image"):
        read_texts(path)
    with pytest.raises(InputError, match="does not exist"):
        read_texts(tmp_path / "none.png")
