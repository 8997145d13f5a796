"""The recipe inside an image: read, or refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.recipes import RECIPE
from turbo_lab import images
from turbo_lab.errors import TurboLabError
from turbo_lab.identity import sha256_text
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.store.encode import DrawnBatch, encode_batch
from turbo_lab.store.record import Exactness
from turbo_lab.workflows.image_text import OWN_TEXT, near, own_origins, read_image_text

BATCH = Batch(replace(RECIPE, negative_prompt=sha256_text("dark")), Layout(("a", "b"), (3, 4)))
NAMES = {RECIPE.model: "nano-turbo"}


@pytest.fixture
def text(tmp_path: Path) -> str:
    """The text in the second image of a batch."""
    pixels = np.zeros((2, 64, 64, 3), np.uint8)
    drawn = DrawnBatch(BATCH, Exactness.EXACT, {}, pixels, negative_prompt="dark", names=NAMES)
    (tmp_path / "a.png").write_bytes(encode_batch(drawn)[1]["01-seed4.png"])
    return images.read_png(tmp_path / "a.png")[1][OWN_TEXT]


def test_recipe_row_and_names(text: str) -> None:
    about, recipe = read_image_text(Path("a.png"), text)
    assert recipe == BATCH.recipe
    assert (about.row, about.rows.seeds, about.rows.prompts) == (1, (3, 4), ("a", "b"))
    assert (about.negative_prompt, about.models) == ("dark", NAMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"negative_prompt": None}, "an old turbo-lab did not write into the PNG"),
        ({"negative_prompt": "light"}, "its negative prompt is not the one that its recipe names"),
        ({"negative_prompt": "\ud800"}, "its turbo-lab recipe: is damaged"),
        ({"recipe": {"later": 1}}, "the recipe has later, which this version cannot draw"),
        ({"rows": 3}, "a.png: its turbo-lab recipe"),
    ],
)
def test_a_changed_text_is_refused(text: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(TurboLabError, match=r"^a\.png: ") as caught:
        read_image_text(Path("a.png"), json.dumps({**json.loads(text), **change}))
    assert message in str(caught.value)


def test_without_a_store_nothing_is_known_of_own_weights() -> None:
    assert own_origins(None, RECIPE, NAMES) == {}


def test_files_are_looked_for_near_the_image() -> None:
    first, second, *packaged = near(Path("x/a.png"), "b.png")
    assert (first, second) == (Path("x/b.png"), Path("b.png"))
    assert packaged and all(path.name == "b.png" for path in packaged)
