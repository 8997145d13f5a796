"""Equal work has equal identity, and other work has another."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.request.requests import GOOD
from turbo_lab.errors import InputError
from turbo_lab.identity import as_plain
from turbo_lab.request.recipe import (
    Batch,
    Cell,
    Layout,
    Recipe,
    canonical_strength,
    fewest_steps,
    image_order,
    lowest_strength,
    split_layouts,
    steps_run,
)
from turbo_lab.request.request import MAX_SEED, Request

prompt_lists = st.lists(st.text(min_size=1), min_size=1, max_size=7)


@given(prompt_lists, st.integers(1, 30) | st.none(), st.integers(0, 1000))
def test_every_image_has_its_prompt_and_seed(
    prompts: list[str], num_images: int | None, seed: int
) -> None:
    texts, seeds = image_order(prompts, num_images, seed, "increment")
    assert len(texts) == len(seeds) == (num_images or len(prompts))
    assert seeds == tuple(range(seed, seed + len(seeds)))
    assert all(text == prompts[i % len(prompts)] for i, text in enumerate(texts))


@given(prompt_lists, st.integers(1, 30), st.integers(0, 1000))
def test_one_seed_a_round(prompts: list[str], num_images: int, seed: int) -> None:
    _, seeds = image_order(prompts, num_images, seed, "same")
    assert seeds == tuple(seed + i // len(prompts) for i in range(num_images))


@given(prompt_lists, st.integers(1, 30), st.integers(0, 30))
def test_more_images_begin_with_the_same_ones(prompts: list[str], few: int, more: int) -> None:
    for mode in ("increment", "same"):
        short = image_order(prompts, few, 0, mode)
        long = image_order(prompts, few + more, 0, mode)
        assert all(a == b[:few] for a, b in zip(short, long, strict=True))


@given(prompt_lists, st.integers(1, 9), st.sampled_from(("increment", "same")))
def test_a_round_goes_over_all_prompts_and_sources(
    prompts: list[str], num_sources: int, mode: str
) -> None:
    sources = [str(i) for i in range(num_sources)]
    texts, seeds = image_order(prompts, None, 0, mode, num_sources)
    assert len(seeds) == max(len(prompts), num_sources)
    layouts = split_layouts(texts, seeds, 4, sources)
    rows = [source for layout in layouts for source in layout.sources]
    assert rows == [sources[i % num_sources] for i in range(len(seeds))]
    assert set(texts) == set(prompts) and set(rows) == set(sources)
    assert mode == "increment" or set(seeds) == {0}


@given(st.integers(1, 1000), st.floats(0.001, 1))
def test_strengths_of_as_many_steps_are_one(steps: int, strength: float) -> None:
    lowest = canonical_strength(steps, strength)
    assert steps_run(steps, lowest) == steps_run(steps, strength) <= steps
    assert lowest <= strength or steps_run(steps, strength) == steps
    assert canonical_strength(steps, lowest) == lowest


@given(st.integers(1, 1000), st.floats(0.001, 1))
def test_the_lowest_strength_and_the_fewest_steps_run_what_they_say(
    total: int, strength: float
) -> None:
    for steps in {1, (total + 1) // 2, total}:
        assert steps_run(total, lowest_strength(total, steps)) == steps
    fewest = fewest_steps(strength)
    assert steps_run(fewest, strength) >= 1
    assert fewest == 1 or steps_run(fewest - 1, strength) == 0
    assert fewest_steps(None) == 1


def test_a_strength_is_the_share_of_the_steps_that_it_runs() -> None:
    assert canonical_strength(2, 0.9) == canonical_strength(2, 0.5) == 0.5
    assert canonical_strength(4, 0.3) == 0.25
    assert canonical_strength(1, 0.5) == 0.5 and steps_run(1, 0.5) == 0
    assert canonical_strength(7, 1.0) == 1.0


def test_seeds_do_not_pass_the_end() -> None:
    with pytest.raises(InputError, match=r"seed \+ 1 must be at most"):
        image_order(["a", "b"], None, MAX_SEED, "increment")
    with pytest.raises(InputError, match="prompts: the set is empty"):
        image_order([], 3, 0, "increment")


@given(st.integers(1, 40), st.integers(1, 64))
def test_layouts_hold_every_row_once(rows: int, batch_size: int) -> None:
    prompts = [str(i) for i in range(rows)]
    layouts = split_layouts(prompts, range(rows), batch_size)
    assert [p for layout in layouts for p in layout.prompts] == prompts
    assert all(len(layout.seeds) == batch_size for layout in layouts[:-1])
    assert 1 <= len(layouts[-1].seeds) <= batch_size


RECIPE = Recipe(
    model="m" * 64,
    scheduler='{"_class_name":"EulerAncestralDiscreteScheduler"}',
    lora=(),
    num_inference_steps=1,
    guidance_scale=0.0,
    negative_prompt=None,
    width=64,
    height=64,
    dtype="float32",
    variant=(),
)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n" * 64},
        {"scheduler": "{}"},
        {"lora": (("a" * 64, 0.5),)},
        {"num_inference_steps": 2},
        {"guidance_scale": 2.0},
        {"negative_prompt": "x"},
        {"width": 128},
        {"height": 128},
        {"dtype": "float16"},
        {"variant": (("compile", "default"),)},
    ],
)
def test_every_field_of_a_recipe_is_identity(change: dict[str, Any]) -> None:
    assert replace(RECIPE, **change).digest != RECIPE.digest


def test_the_order_of_loras_is_identity() -> None:
    one, two = ("a" * 64, 0.5), ("b" * 64, 1.0)
    assert replace(RECIPE, lora=(one, two)).digest != replace(RECIPE, lora=(two, one)).digest


def test_the_batch_layout_is_identity() -> None:
    request = Request.from_config(GOOD)

    def cell(batch_size: int) -> Cell:
        layouts = split_layouts(["a", "b", "c", "d"], range(4), batch_size)
        return Cell(request, RECIPE, tuple(Batch(RECIPE, x) for x in layouts), None, ())

    assert cell(2).cell_id == cell(2).cell_id != cell(4).cell_id
    assert cell(2).num_images == 4
    renamed = replace(cell(2), request=replace(request, model="other"), axes=(("seed", 1),))
    assert renamed.cell_id == cell(2).cell_id, "names and axes are for display"


def test_prompts_and_seeds_are_identity() -> None:
    layouts = [Layout(("a",), (0,)), Layout(("b",), (0,)), Layout(("a",), (1,))]
    assert len({Batch(RECIPE, layout).batch_id for layout in layouts}) == 3


def test_sources_and_strength_are_identity_and_text_to_image_has_none() -> None:
    layouts = [Layout(("a",), (0,), sources) for sources in ((), ("b" * 64,), ("c" * 64,))]
    assert len({layout.digest for layout in layouts}) == 3
    recipes = [RECIPE, replace(RECIPE, strength=0.5), replace(RECIPE, strength=1.0)]
    assert len({recipe.digest for recipe in recipes}) == 3
    assert "strength" not in RECIPE.plain() and recipes[1].plain()["strength"] == 0.5
    assert Recipe.from_plain(recipes[1].plain()) == recipes[1]


def test_plain_values() -> None:
    assert as_plain(Layout(("a",), (1,))) == {"prompts": ["a"], "seeds": [1], "sources": []}


def test_a_recipe_comes_back_from_its_plain_form() -> None:
    recipe = replace(RECIPE, lora=(("a" * 64, 0.5),), variant=(("vae", "b" * 64),))
    plain = json.loads(json.dumps(as_plain(recipe)))
    assert Recipe.from_plain(plain) == recipe
    assert Recipe.from_plain(plain).digest == recipe.digest
    with pytest.raises(ValueError, match="hue"):
        Recipe.from_plain({**plain, "hue": 1})
    with pytest.raises(ValueError, match="variant is missing"):
        Recipe.from_plain({name: value for name, value in plain.items() if name != "variant"})
    with pytest.raises(ValueError, match="width is 'abc', not an integer"):
        Recipe.from_plain({**plain, "width": "abc"})


@pytest.mark.parametrize(
    ("scale", "variant", "has_guidance", "is_guided"),
    [
        (0.0, (), False, False),
        (7.5, (), True, True),
        (7.5, (("guidance", "embedded"),), True, False),
    ],
)
def test_embedded_guidance_needs_no_unconditional_row(
    scale: float, variant: tuple[tuple[str, str], ...], has_guidance: bool, is_guided: bool
) -> None:
    recipe = replace(RECIPE, guidance_scale=scale, variant=variant)
    assert (recipe.has_guidance, recipe.is_guided) == (has_guidance, is_guided)
