"""Images of a page: pixels kept, text dropped, large ones made smaller."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from turbo_lab.errors import StoreError
from turbo_lab.images import encode_png
from turbo_lab.report.html import pictures
from turbo_lab.report.html.pictures import (
    pictures_per_cell,
    read_picture,
    read_pictures,
    without_text,
)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_text_chunks_are_dropped_and_pixels_stay() -> None:
    pixels = noise(64, 48)
    png = encode_png(pixels, {"parameters": "a prompt\n" * 100, "turbo-lab": "{}"})
    small = without_text(png)
    opened = Image.open(io.BytesIO(small))
    np.testing.assert_array_equal(np.asarray(opened), pixels)
    assert opened.info == {} and len(small) < len(png)


def test_small_images_are_kept_and_large_ones_scaled(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(encode_png(noise(64, 64), {}))
    large.write_bytes(encode_png(noise(600, 1200), {}))
    found = read_pictures([small, large, small, tmp_path / "missing.png"])
    assert set(found) == {str(small), str(large)}
    assert (found[str(small)].mime, found[str(large)].mime) == ("image/png", "image/webp")
    shown = found[str(large)]
    assert (shown.width, shown.height) == (1200, 600)
    assert Image.open(io.BytesIO(shown.content)).size == (512, 256)


def test_a_file_that_is_not_an_image_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    with pytest.raises(StoreError, match="broken.png: is damaged .*store verify"):
        read_picture(path)


@pytest.mark.parametrize(("cells", "images"), [(0, 16), (6, 16), (300, 16), (500, 10), (9000, 1)])
def test_many_cells_show_fewer_images_each(cells: int, images: int) -> None:
    assert pictures_per_cell(cells) == images


def test_many_images_are_thumbnails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MOST_EXACT", 1)
    sizes = {"small.png": (64, 64), "large.png": (600, 1200)}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(encode_png(noise(*size), {}))
    found = read_pictures([tmp_path / name for name in sizes])
    shown = {path.rpartition("/")[2]: one for path, one in found.items()}
    assert not any(one.is_exact for one in shown.values())
    opened = {name: Image.open(io.BytesIO(one.content)).size for name, one in shown.items()}
    assert opened == {"small.png": (64, 64), "large.png": (144, 72)}
    assert read_picture(tmp_path / "small.png").is_exact
