"""Source images: which files are meant, how they are brought to a size, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.images import pixel_sha256
from turbo_lab.request.source import (
    crop_note,
    holds_source,
    packaged_sets,
    read_sources,
    source_files,
    source_pixels,
)

SIZE = (64, 64)


def save(path: Path, width: int = 64, height: int = 64, **options: object) -> np.ndarray:
    """Save a picture whose left half is black and whose right half is white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2 :] = 255
    Image.fromarray(pixels).save(path, **options)
    return pixels


def test_pixels_of_the_right_size_stay_as_they_are(tmp_path: Path) -> None:
    pixels = save(tmp_path / "a.png")
    (one,) = read_sources([tmp_path / "a.png"], SIZE)
    assert (one.name, one.width, one.height) == ("a.png", 64, 64)
    assert one.digest == pixel_sha256(pixels)
    assert np.array_equal(source_pixels(one.path, one.digest, SIZE), pixels)
    assert crop_note("a.png", [one], SIZE) is None


def test_a_turned_photo_is_set_upright_first(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    pixels = save(tmp_path / "a.png", exif=exif)
    (one,) = read_sources([tmp_path / "a.png"], SIZE)
    assert np.array_equal(source_pixels(one.path, one.digest, SIZE), np.rot90(pixels, -1))


def test_another_aspect_ratio_is_cropped_in_the_middle(tmp_path: Path) -> None:
    pixels = save(tmp_path / "wide.png", width=128)
    (one,) = read_sources([tmp_path / "wide.png"], SIZE)
    assert np.array_equal(source_pixels(one.path, one.digest, SIZE), pixels[:, 32:96])
    note = crop_note("wide.png", [one], SIZE)
    assert note == "image=wide.png: 128x64, cropped in the middle to fit 64x64"


def test_a_folder_gives_its_pictures_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "._a.png", "notes.txt", "c.webp"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("text")
        else:
            save(tmp_path / name, width=96, format="PNG")
    files = source_files(str(tmp_path))
    assert [file.name for file in files] == ["a.png", "b.JPG", "c.webp"]
    note = crop_note("photos", read_sources(files, SIZE), SIZE)
    assert note == "image=photos: 3 of its 3 images are cropped in the middle to fit 64x64"
    save(tmp_path / "a.png")
    note = crop_note("photos", read_sources(files[:2], SIZE), SIZE)
    assert note == "image=photos: 1 of its 2 images is cropped in the middle to fit 64x64"


def test_a_file_that_is_not_an_image_is_refused_by_its_name(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    with pytest.raises(
        InputError,
        match=r"b\.png: cannot be read as an image \(it is none of PNG.* or it is damaged\)$",
    ):
        read_sources(source_files(str(tmp_path)), SIZE)


def test_transparency_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (255, 0, 0, 128)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.png: its pixels are RGBA; save it as 8-bit RGB"):
        read_sources([tmp_path / "a.png"], SIZE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist; name an image file, a folder of them, or a packaged"),
        (lambda path: path.mkdir(), "the folder holds no image ending in .png, .jpg"),
    ],
)
def test_nothing_to_begin_from(tmp_path: Path, make: object, message: str) -> None:
    make(tmp_path / "photos")  # type: ignore[operator]
    with pytest.raises(InputError, match=re.escape(message)):
        source_files(str(tmp_path / "photos"))


def test_a_packaged_set_comes_before_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A golden that begins from the packaged set is the same case in any working directory."""
    monkeypatch.chdir(tmp_path)
    assert packaged_sets() == ["shapes"]
    packaged = source_files("shapes")
    assert [path.name for path in packaged] == ["circle.png", "house.png"]
    (tmp_path / "shapes").mkdir()
    save(tmp_path / "shapes" / "a.png")
    assert source_files("shapes") == packaged
    assert source_files("./shapes") == [tmp_path / "shapes" / "a.png"]


def test_a_link_may_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "private.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").symlink_to(tmp_path / "private.png")
    with pytest.raises(InputError, match="'a.png': leads out of .*photos through a symbolic link"):
        source_files(str(tmp_path / "photos"))


def test_a_file_that_changed_is_not_drawn_from(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save(path)
    (one,) = read_sources([path], SIZE)
    assert holds_source(path, one.digest, SIZE)
    Image.new("RGB", SIZE).save(path)
    with pytest.raises(
        MissingFilesError, match=f"a.png does not hold source image {one.digest[:12]}"
    ):
        source_pixels(path, one.digest, SIZE)
    assert not holds_source(path, one.digest, SIZE)
    path.unlink()
    with pytest.raises(MissingFilesError, match=r"a\.png: does not exist"):
        source_pixels(path, one.digest, SIZE)
    assert not holds_source(path, one.digest, SIZE)
