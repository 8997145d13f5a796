"""Words of a command line by side."""

from __future__ import annotations

import pytest

from turbo_lab.api.sides import compose_side, split_sides
from turbo_lab.errors import InputError


def test_a_word_belongs_to_its_side_or_to_both() -> None:
    words = split_sides(["seed=1", "candidate.lora=ink", "baseline.model.path=x", "model.path=y"])
    assert words.common == ("seed=1", "model.path=y")
    assert words.own("candidate") == ("lora=ink",)
    assert words.of("baseline") == ["seed=1", "model.path=y", "model.path=x"]
    assert words.has_sides and not split_sides(["seed=1"]).has_sides


def test_a_side_is_one_cell() -> None:
    side = compose_side("gate", "candidate", ["num_images=1", "num_inference_steps=2"])
    assert [cell.recipe.num_inference_steps for cell in side.cells] == [2]
    with pytest.raises(InputError, match="candidate"):
        compose_side("gate", "candidate", ["num_images=1", "num_inference_steps=1,2"])
