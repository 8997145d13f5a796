"""The packaged source images are those that the code draws."""

from __future__ import annotations

import numpy as np

from experiments.pictures import PICTURES_BY_NAME, SHAPES
from turbo_lab.images import read_photo


def test_the_packaged_pictures_are_drawn_by_the_code() -> None:
    assert {path.stem for path in SHAPES.iterdir()} == set(PICTURES_BY_NAME)
    for name, draw in PICTURES_BY_NAME.items():
        pixels, _ = read_photo(SHAPES / f"{name}.png")
        assert np.array_equal(pixels, np.asarray(draw()))


def test_one_picture_has_to_be_resized_and_one_has_the_size_of_the_nano_family() -> None:
    sizes = {name: draw().size for name, draw in PICTURES_BY_NAME.items()}
    assert sizes == {"circle": (144, 96), "house": (64, 64)}
