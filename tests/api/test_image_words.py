"""Words of ``generate``: what the user says comes first, the rest is the image's."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.api.image_words import GenerateWords
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import resolve_points

TEXT = """a cat ${x}, (red:1.2)
Negative prompt: dark, {y}
Steps: 2, Sampler: Euler a, Schedule type: SGM Uniform, CFG scale: 2, Seed: 7, Size: 128x64"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(f"{TEXT}, RNG: CPU, Model: nano-turbo", encoding="utf-8")
    return path


def test_all_keys_of_an_image(image: Path) -> None:
    named = GenerateWords.compose(None, ["num_threads=1"], image)
    sweep = resolve_points(named.points)
    ((batch,),) = (cell.batches for cell in sweep.cells)
    request = sweep.cells[0].request
    assert (batch.layout.prompts, batch.layout.seeds) == (("a cat ${x}, red",), (7,))
    assert (request.size, request.num_inference_steps) == ((128, 64), 2)
    assert (request.guidance_scale, request.negative_prompt) == (2.0, "dark, {y}")
    assert named.notes(sweep) == ("attention weights: all words have weight 1",)


def test_what_the_user_says_comes_first(image: Path) -> None:
    words = ["num_threads=1", "seed=9", "num_inference_steps=1", "model=nano-sdxl"]
    named = GenerateWords.compose("a dog", words, image)
    cell = resolve_points(named.points).cells[0]
    assert cell.batches[0].layout.prompts == ("a dog",)
    assert (cell.request.seed, cell.request.num_inference_steps) == (9, 1)
    assert cell.request.model == "nano-sdxl"
    scenes = GenerateWords.compose(None, ["prompts=scenes-demo", "num_images=2"], image)
    assert scenes.points[0].values["prompt"] is None
    grid = GenerateWords.compose(None, ["seed=1-3"], image)
    assert [dict(point.axes) for point in grid.points] == [{"seed": 1}, {"seed": 2}, {"seed": 3}]


def test_without_an_image() -> None:
    named = GenerateWords.compose("a = b", ["seed=3"], None)
    (point,) = named.points
    assert (point.values["prompt"], named.image) == ("a = b", None)
    assert named.notes(resolve_points(named.points)) == ()


def test_a_wrong_key_is_refused(image: Path) -> None:
    with pytest.raises(InputError, match="sead"):
        GenerateWords.compose(None, ["sead=3"], image)
