"""Recipes in records and images: what no sweep could have had is refused before it is drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turbo_lab import images
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError
from turbo_lab.identity import canonical_json
from turbo_lab.request.recipe import Layout, Recipe
from turbo_lab.workflows.drawable import check_drawable, threads_of

EULER = canonical_json({"_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 1000})
RECIPE = Recipe(
    model="ab",
    scheduler=EULER,
    lora=(("cd", 0.5),),
    num_inference_steps=1,
    guidance_scale=0.0,
    negative_prompt=None,
    width=64,
    height=128,
    dtype="float32",
    variant=(("compile", "default"),),
)
LAYOUT = Layout(("a cat",), (7,))


def test_what_a_sweep_draws_passes() -> None:
    check_drawable(RECIPE, [LAYOUT], "x")
    check_drawable(replace(RECIPE, strength=0.3), [replace(LAYOUT, sources=("ab",))], "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_inference_steps": 10**9}, "num_inference_steps=1000000000: must be an integer from"),
        ({"width": 64000}, "resolution=64000x128: must be at most 8192 pixels a side"),
        ({"height": 65}, "65 is not a multiple of 64"),
        ({"guidance_scale": float("inf")}, "guidance_scale=inf: must be a finite number"),
        ({"strength": 2.0}, "strength=2.0: must be above 0"),
        ({"dtype": "int8"}, "dtype=int8: unknown"),
        ({"lora": (("ab", float("nan")),)}, "lora_weight=nan: must be a finite number"),
        ({"variant": (("compile", "all"),)}, "compile=all: unknown"),
        ({"scheduler": "{}"}, "is damaged"),
        ({"scheduler": "[" * 5000}, "is damaged"),
        ({"scheduler": '{"_class_name": "os"}'}, "scheduler=os: unknown"),
        (
            {"scheduler": EULER.replace("1000", "1000000000000")},
            "num_train_timesteps=1000000000000: must be at most",
        ),
    ],
)
def test_what_no_sweep_draws_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^record 12: its recipe.*{message}"):
        check_drawable(replace(RECIPE, **changes), [LAYOUT], "record 12")


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout((), ()), "0 prompts and 0 seeds"),
        (Layout(("a",) * 65, tuple(range(65))), "65 prompts and 65 seeds"),
        (Layout(("a",), (1, 2)), "1 prompts and 2 seeds"),
        (Layout(("a",), (-1,)), "seed=-1"),
        (Layout(("a", "b"), (1, 2), ("ab",)), "1 source images for 2 rows"),
    ],
)
def test_batches_that_no_sweep_draws_are_refused(layout: Layout, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_drawable(RECIPE, [layout], "x")


@pytest.mark.parametrize("value", [0, -1, 10**9, True, "2", "many"])
def test_a_number_of_threads_that_no_sweep_has_is_refused(value: int | str) -> None:
    assert threads_of(None, "x") == 2
    assert threads_of({"num_threads": 3}, "x") == 3
    with pytest.raises(InputError, match=r"x: num_threads=.*set num_threads=NUMBER"):
        threads_of({"num_threads": value}, "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"row": 5}, "is damaged (row 5 of 1)"),
        ({"row": -1}, "is damaged (row -1 of 1)"),
        ({"keys": {"num_threads": 10**9}}, "num_threads=1000000000: must be an integer from 1"),
        ({"rows": {"prompts": [], "seeds": [1]}}, "0 prompts and 1 seeds"),
    ],
)
def test_an_image_s_own_text_is_refused_in_one_line(
    tmp_path: Path,
    changes: dict[str, object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pixels = np.zeros((128, 64, 3), np.uint8)
    text = {
        "recipe": RECIPE.plain(),
        "rows": {"prompts": ["a cat"], "seeds": [7]},
        "row": 0,
        "pixel_sha256": images.pixel_sha256(pixels),
        **changes,
    }
    path = tmp_path / "a.png"
    path.write_bytes(images.encode_png(pixels, {"turbo-lab": json.dumps(text)}))
    assert main(["reproduce", str(path), "device=cpu"]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
