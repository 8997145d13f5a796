"""Validation: every bad input has its message; what is equal work has equal identity."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.errors import InputError
from turbo_lab.request.recipe import (
    MAX_SEED,
    SCHEDULERS,
    Batch,
    Cell,
    Layout,
    LoraUse,
    Recipe,
    Request,
    as_plain,
    format_lora,
    image_order,
    parse_lora,
    parse_resolution,
    split_layouts,
)

GOOD: dict[str, Any] = {
    "model": {"name": "nano-turbo", "path": None},
    "prompts": {"name": "scenes-heldout"},
    "num_inference_steps": 1,
    "guidance_scale": 0,
    "resolution": 64,
    "batch_size": 16,
    "lora": "none",
    "seed": 0,
    "seed_mode": "increment",
    "negative_prompt": None,
    "scheduler": None,
    "dtype": "float32",
    "num_images": None,
}


def test_a_request() -> None:
    request = Request.from_config(GOOD | {"resolution": "128x64", "lora": "flat@0.8+ink"})
    assert (request.width, request.height) == (128, 64)
    assert request.lora == (LoraUse("flat", 0.8), LoraUse("ink", 1.0))
    assert isinstance(request.guidance_scale, float)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_inference_steps", 0, "num_inference_steps=0: must be an integer from 1 to 1000"),
        ("num_inference_steps", 1001, "num_inference_steps=1001: must be an integer from 1 to"),
        ("num_inference_steps", 1.5, "num_inference_steps=1.5: must be an integer from 1 to 1000"),
        ("num_inference_steps", True, "num_inference_steps=True: must be an integer from 1"),
        ("num_inference_steps", "two", "num_inference_steps=two: must be an integer from 1"),
        ("guidance_scale", -1, "guidance_scale=-1: must be finite and at least 0"),
        ("guidance_scale", math.nan, "guidance_scale=nan: must be finite and at least 0"),
        ("guidance_scale", math.inf, "guidance_scale=inf: must be finite and at least 0"),
        ("guidance_scale", "high", "guidance_scale=high: must be a number, 0 for no guidance"),
        ("guidance_scale", False, "guidance_scale=False: must be a number"),
        ("resolution", 100, "resolution=100: 100 is not a multiple of 64; nearest: 64 or 128"),
        ("resolution", "64x100", "resolution=64x100: 100 is not a multiple of 64; nearest: 64 or"),
        ("resolution", 32, "resolution=32: 32 is not a multiple of 64; nearest: 64"),
        ("resolution", 0, "resolution=0: 0 is not a multiple of 64; nearest: 64"),
        ("resolution", "big", "resolution=big: must be WIDTHxHEIGHT or one number"),
        ("resolution", "64x64x64", "resolution=64x64x64: must be WIDTHxHEIGHT or one number"),
        ("resolution", -64, "resolution=-64: must be WIDTHxHEIGHT or one number"),
        ("batch_size", 0, "batch_size=0: must be an integer from 1 to 64"),
        ("batch_size", 65, "batch_size=65: must be an integer from 1 to 64"),
        ("lora", "flat@x", "lora=flat@x: 'flat@x' is not NAME or NAME@WEIGHT; for example"),
        ("lora", "flat@nan", "lora=flat@nan: 'flat@nan' is not NAME or NAME@WEIGHT"),
        ("lora", "@1", "lora=@1: '@1' is not NAME or NAME@WEIGHT"),
        ("lora", "flat+", "lora=flat+: '' is not NAME or NAME@WEIGHT"),
        ("lora", "none+flat", "lora=none+flat: 'none' is not NAME or NAME@WEIGHT"),
        ("lora", "flat+flat@0.5", "lora=flat+flat@0.5: flat is named twice; give one weight"),
        ("seed", -1, "seed=-1: must be an integer from 0 to"),
        ("seed", MAX_SEED + 1, f"seed={MAX_SEED + 1}: must be an integer from 0 to {MAX_SEED}"),
        ("seed_mode", "sam", "seed_mode=sam: unknown. Did you mean same? Valid: increment, same"),
        ("dtype", "double", "dtype=double: unknown. Valid: bfloat16, float16, float32"),
        ("dtype", "fp16", "dtype=fp16: unknown. Did you mean float16?"),
        ("num_images", 0, "num_images=0: must be at least 1"),
        ("negative_prompt", 5, "negative_prompt=5: must be text, or null for none"),
        ("scheduler", "", "scheduler=: unknown. Valid: DDIM"),
        ("model", {"name": ""}, "model=: must be a non-empty name"),
    ],
)
def test_bad_input(key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Request.from_config(GOOD | {key: value})
    text = str(caught.value)
    assert text.startswith(message)
    assert "\n" not in text
    assert caught.value.exit_code == 2


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_./-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() != "none"
)
weights = st.integers(-200, 200).map(lambda n: n / 100)


@given(st.lists(st.tuples(names, weights), max_size=4, unique_by=lambda pair: pair[0]))
def test_lora_text_and_stack_are_inverse(pairs: list[tuple[str, float]]) -> None:
    uses = tuple(LoraUse(name, weight) for name, weight in pairs)
    assert parse_lora(format_lora(uses)) == uses


@pytest.mark.parametrize("value", [None, "", "none", "None", " none "])
def test_no_lora(value: str | None) -> None:
    assert parse_lora(value) == ()
    assert format_lora(()) == "none"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_weight_survives_its_text(weight: float) -> None:
    use = LoraUse("flat", weight + 0.0)
    assert parse_lora(format_lora([use])) == (use,)


def test_a_negative_zero_weight_is_zero() -> None:
    assert math.copysign(1, parse_lora("flat@-0")[0].weight) == 1


sizes = st.integers(1, 32).map(lambda n: 64 * n)


@given(sizes, sizes)
def test_resolution_text(width: int, height: int) -> None:
    assert parse_resolution(f"{width}x{height}") == (width, height)
    assert parse_resolution(f"{width}X{height}") == (width, height)
    assert parse_resolution(width) == parse_resolution(str(width)) == (width, width)


@given(st.integers(1, 4000).filter(lambda n: n % 64))
def test_the_nearest_sizes_are_valid(size: int) -> None:
    with pytest.raises(InputError) as caught:
        parse_resolution(size)
    near = [int(n) for n in str(caught.value).rpartition("nearest: ")[2].split(" or ")]
    for candidate in near:
        assert parse_resolution(candidate)
        assert abs(candidate - size) < 64


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


def test_plain_values() -> None:
    assert as_plain(Layout(("a",), (1,))) == {"prompts": ["a"], "seeds": [1]}


def test_schedulers_are_classes_that_take_the_familys_config() -> None:
    import diffusers

    for name in SCHEDULERS:
        scheduler = getattr(diffusers, name).from_config({"timestep_spacing": "trailing"})
        scheduler.set_timesteps(1)
        assert len(scheduler.timesteps), name


def test_a_recipe_comes_back_from_its_plain_form() -> None:
    recipe = replace(RECIPE, lora=(("a" * 64, 0.5),), variant=(("vae", "b" * 64),))
    plain = json.loads(json.dumps(as_plain(recipe)))
    assert Recipe.from_plain(plain) == recipe
    assert Recipe.from_plain(plain).digest == recipe.digest
    with pytest.raises(TypeError, match="hue"):
        Recipe.from_plain({**plain, "hue": 1})
    with pytest.raises(KeyError, match="variant"):
        Recipe.from_plain({name: value for name, value in plain.items() if name != "variant"})


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
