"""Source images for the sheet: those whose pixels are the recorded ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.recipes import PARAMETERS
from tests.report.results import sweep_result, with_cell, with_sources
from turbo_lab.images import encode_png
from turbo_lab.report.source_images import source_images


def test_a_source_is_shown_only_with_the_pixels_that_were_recorded(tmp_path: Path) -> None:
    sweep = with_sources(sweep_result(tmp_path), tmp_path, {"a.png": 200, "b.png": 210})
    found = source_images(sweep.cells)
    assert [(one.name, int(one.pixels[0, 0, 0])) for one in found.values()] == [
        ("a.png", 200),
        ("b.png", 210),
    ]
    assert {one.pixels.shape for one in found.values()} == {(64, 64, 3)}
    (tmp_path / "a.png").write_bytes(encode_png(np.zeros((64, 64, 3), np.uint8), {}))
    (tmp_path / "b.png").unlink()
    assert source_images(sweep.cells) == {}


def test_cells_from_noise_have_none(tmp_path: Path) -> None:
    assert source_images(sweep_result(tmp_path).cells) == {}


def test_a_size_that_no_image_has_is_not_made(tmp_path: Path) -> None:
    sweep = with_sources(sweep_result(tmp_path), tmp_path, {"a.png": 200})
    huge = replace(PARAMETERS, resolution="1048576x1048576")
    for index in range(len(sweep.cells)):
        sweep = with_cell(sweep, index, parameters=huge)
    assert source_images(sweep.cells) == {}
