"""The contact sheet shows every cell where its labels say."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.results import sweep_result, with_cell, with_sources
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.errors import StoreError
from turbo_lab.images import encode_png
from turbo_lab.report.sheet import draw_sheet


def picture(sweep: SweepResult, across: str | None = None, down: str | None = None) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_sheet(sweep, across, down))).convert("RGB"))


def flat(pixels: np.ndarray, shade: int, edge: int = 128) -> list[tuple[int, int]]:
    """Return where a flat square of a shade is, as (column, row) of its first pixel."""
    is_shade = (pixels == shade).all(axis=2)
    found = []
    for row, column in np.argwhere(is_shade):
        block = is_shade[row : row + edge, column : column + edge]
        if (
            block.all()
            and block.shape == (edge, edge)
            and not is_shade[row - 1, column]
            and (not is_shade[row, column - 1])
        ):
            found.append((int(column), int(row)))
    return found


def test_two_axes_make_a_grid_of_mosaics(tmp_path: Path) -> None:
    pixels = picture(sweep_result(tmp_path))
    # Each finished cell's first image is a flat shade; it appears as 128 x 128 pixels.
    for shade in (0, 40, 120):
        assert (pixels == shade).all(axis=2).sum() >= 128 * 128


def test_one_axis_puts_prompts_down(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    pixels = picture(replace(sweep, cells=sweep.cells[:2]))
    for shade in (0, 10, 20, 30, 40, 50, 60, 70):
        assert (pixels == shade).all(axis=2).sum() >= 128 * 128


@pytest.mark.parametrize(("across", "down"), [("prompt", None), ("seed", "guidance_scale")])
def test_prompts_or_seeds_may_be_columns(tmp_path: Path, across: str, down: str | None) -> None:
    sweep = sweep_result(tmp_path)
    pixels = picture(replace(sweep, cells=sweep.cells[:2]), across, down)
    columns = [flat(pixels, shade)[0][0] for shade in (0, 10, 20, 30)]
    assert columns == sorted(columns) and len(set(columns)) == 4
    (first,), (other,) = flat(pixels, 0), flat(pixels, 40)
    assert first[0] == other[0] and first[1] < other[1]


def test_the_axes_of_columns_and_rows_can_be_named(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    axes = list(dict.fromkeys(name for cell in sweep.cells for name in cell.axes))
    one, other = axes[:2]
    upright, turned = picture(sweep, one, other).shape, picture(sweep, other, one).shape
    assert upright != turned
    assert picture(sweep, one).shape == upright
    assert picture(sweep, down=one).shape == turned


def test_axes_that_vary_together_are_one(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    values = ({"seed": 0, "num_inference_steps": 1}, {"seed": 5, "num_inference_steps": 4})
    zipped = [replace(c, axes=axes) for c, axes in zip(sweep.cells[:2], values, strict=True)]
    alone = [replace(c, axes={"seed": n}) for c, n in zip(sweep.cells[:2], (0, 5), strict=True)]
    sizes = [picture(replace(sweep, cells=tuple(cells))).shape[1] for cells in (zipped, alone)]
    assert sizes[0] == sizes[1]  # two columns, and not a grid of two by two


def test_a_point_that_is_left_out_is_empty_and_not_failed(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    done = [cell for cell in sweep.cells if cell.images]
    points = (
        {"seed": 1, "batch_size": 1},
        {"seed": 1, "batch_size": 2},
        {"seed": 2, "batch_size": 2},
    )
    cells = tuple(replace(done[0], axes=axes) for axes in points)
    assert (picture(replace(sweep, cells=cells)) == (0xFF, 0xF1, 0xF0)).all(axis=2).sum() == 0


def test_failed_cell_is_marked(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    marked = (picture(sweep) == (0xFF, 0xF1, 0xF0)).all(axis=2).sum()
    whole = with_cell(sweep, 2, images=sweep.cells[0].images)
    assert marked > 1000
    assert (picture(whole) == (0xFF, 0xF1, 0xF0)).all(axis=2).sum() == 0


def test_sheet_of_many_cells_stays_within_bounds(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    cells = tuple(
        replace(sweep.cells[0], axes={"num_inference_steps": s, "seed": k})
        for s in range(1, 11)
        for k in range(30)
    )
    height, width, _ = picture(replace(sweep, cells=cells)).shape
    assert max(height, width) <= 12_000


def test_a_merged_point_shows_the_images_of_its_cell(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    alone = (picture(sweep) == 0).all(axis=2).sum()
    sweep = with_cell(sweep, 0, aliases=({"num_inference_steps": 1, "guidance_scale": 1},))
    # Steps 2 have no such point: their tile says so.
    twice = (picture(sweep) == 0).all(axis=2).sum()
    assert twice == alone + 128 * 128


def test_long_heads_are_wrapped_and_not_cut(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)

    def shape(text: str) -> tuple[int, ...]:
        cells = enumerate(sweep.cells[:2])
        named = tuple(replace(cell, axes={"lora": text.format(index)}) for index, cell in cells)
        return picture(replace(sweep, cells=named)).shape

    short, long = shape("number-{0}@1.0"), shape("number-{0}@1.0 + another-{0}@0.5 + third@0.25")
    assert long[0] > short[0] and long[1] == short[1]


def test_an_image_that_has_changed_is_refused(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    sweep.cells[0].images[0].path.write_bytes(encode_png(np.full((64, 64, 3), 9, np.uint8), {}))
    with pytest.raises(StoreError, match="its pixels are not those.*--remove-damaged"):
        draw_sheet(sweep)


def test_a_source_image_is_next_to_each_image_that_begins_from_it(tmp_path: Path) -> None:
    """At half the size, 4 pixels to the left; one whose file has changed is left out."""
    sweep = with_sources(sweep_result(tmp_path), tmp_path, {"a.png": 200, "b.png": 210})
    sweep = replace(sweep, cells=sweep.cells[:2])
    pixels = picture(sweep)
    results = [place for shade in (200, 210) for place in flat(pixels, shade, 64)]
    shown = [place for shade in range(0, 80, 10) for place in flat(pixels, shade)]
    assert len(shown) == len(results) == 8
    assert {(x - 68, y) for x, y in shown} == set(results)
    (tmp_path / "a.png").write_bytes(encode_png(np.full((64, 64, 3), 9, np.uint8), {}))
    pixels = picture(sweep)
    assert (len(flat(pixels, 200, 64)), len(flat(pixels, 210, 64))) == (0, 4)
    (tmp_path / "b.png").unlink()
    alone = replace(sweep, cells=sweep_result(tmp_path).cells[:2])
    assert picture(sweep).shape == picture(alone).shape
