"""The comparison's own figures and table, on images made up here."""

from __future__ import annotations

import pytest

pytest.importorskip("resvg_py")

import numpy as np

from experiments.nano import evaluate
from experiments.nano.world import COLOURS, caption, pairs


def _plain(colours: list[int]) -> np.ndarray:
    """(N, 64, 64, 3) uint8 of one colour each, with a white thing in the middle."""
    palette = np.array(list(COLOURS.values()), dtype=np.uint8)
    images = np.repeat(palette[colours][:, None, None], 64, axis=1).repeat(64, axis=2)
    images[:, 8:56, 8:56] = 255
    return images


def test_colour_accuracy_by_hand() -> None:
    where = pairs("heldout")[:8]
    colours = [colour for _, colour in where]
    prompts = [caption(*pair) for pair in where]
    right = evaluate.colour_accuracy(_plain(colours), colours, prompts)
    assert (right["value"], right["n"]) == (1.0, 8)
    drawn = [(colours[0] + 1) % len(COLOURS), *colours[1:]]
    assert evaluate.colour_accuracy(_plain(drawn), colours, prompts)["value"] == 7 / 8


def test_the_cells_are_those_of_the_comparison() -> None:
    labels = [cell.label for cell in evaluate.cells(2.5)]
    assert labels[:6] == [f"nano-sdxl {steps}" for steps in (1, 2, 4, 8, 25, 50)]
    assert labels[6:10] == [f"nano-turbo {steps}" for steps in (1, 2, 3, 4)]
    assert {c.guidance_scale for c in evaluate.cells(3.0) if c.model != "nano-sdxl"} == {0.0}


def test_a_figure_without_a_value_is_unscored_and_not_zero() -> None:
    scored = {"value": 0.5, "unit": "cosine", "n": 4, "ci95": [0.4, 0.6]}
    row = {"clip_score": scored, "fd": {"value": None, "unit": "", "n": 4, "ci95": None}}
    table = evaluate.markdown({"nano-turbo 1": row}).splitlines()
    assert table[0] == "| cell | N | clip_score | fd |"
    assert table[2] == "| nano-turbo 1 | 4 | 0.5 (0.4 to 0.6) | unscored |"


def test_the_contact_sheet_shows_each_thing_once_in_reading_order() -> None:
    images = np.zeros((128, 64, 64, 3), dtype=np.uint8)
    images[:, ...] = np.arange(128, dtype=np.uint8)[:, None, None, None]
    sheet = np.asarray(evaluate.contact_sheet(images))
    assert sheet.shape == (4 * 64, 16 * 64, 3)
    assert (sheet[0, 0, 0], sheet[0, 64, 0], sheet[64, 0, 0], sheet[-1, -1, 0]) == (0, 1, 16, 63)
