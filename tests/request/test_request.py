"""Every bad value of a request has its message; sizes and LoRA stacks have one text form."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
from diffusers import StableDiffusionXLImg2ImgPipeline
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.request.requests import GOOD
from turbo_lab.errors import InputError
from turbo_lab.request.request import (
    MAX_SEED,
    SCHEDULERS,
    LoraUse,
    Request,
    format_lora,
    parse_lora,
    parse_resolution,
)


def test_the_strength_is_that_of_diffusers_if_none_is_named() -> None:
    call = inspect.signature(StableDiffusionXLImg2ImgPipeline.__call__)
    named = Request.from_config(GOOD | {"image": "a.png"})
    assert (named.image, named.strength) == ("a.png", call.parameters["strength"].default)
    assert Request.from_config(GOOD | {"image": "a.png", "strength": 1}).strength == 1.0
    assert Request.from_config(GOOD).strength is None


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
        ("num_images", 0, "num_images=0: must be an integer from 1 to 1000000"),
        ("negative_prompt", 5, "negative_prompt=5: must be text, or null for none"),
        ("scheduler", "", "scheduler=: unknown. Valid: DDIM"),
        ("strength", 0.5, "strength=0.5: there is no image to change; add image=FILE or image=FOL"),
        ("strength", 0, "strength=0: must be above 0, where nothing changes, and at most 1"),
        ("strength", 1.5, "strength=1.5: must be above 0, where nothing changes, and at most 1"),
        ("strength", "half", "strength=half: must be a finite number"),
        ("image", "", "image=: must be an image file or a folder of them, or null for none"),
        ("image", ["a.png"], "image=['a.png']: must be text, or null for none"),
        ("model", {"name": ""}, "model.name=: must be a non-empty text"),
        ("model", "nano-turbo", "model=nano-turbo: must be a mapping of keys and values"),
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


@given(st.lists(st.text(min_size=1, max_size=8), max_size=3, unique=True), weights)
def test_any_name_survives_its_text(found: list[str], weight: float) -> None:
    uses = tuple(LoraUse(name, weight) for name in found if not {"'", '"'} <= set(name))
    assume(all(use.name.lower() != "none" for use in uses))
    assert parse_lora(format_lora(uses)) == uses


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("names/a+b.safetensors@0.8", [("names/a+b.safetensors", 0.8)]),
        ("a/b+c.safetensors+flat@0.5", [("a/b+c.safetensors", 1.0), ("flat", 0.5)]),
        ("flat+a/b+c.safetensors@2", [("flat", 1.0), ("a/b+c.safetensors", 2.0)]),
        ("./folder@1+ink", [("./folder", 1.0), ("ink", 1.0)]),
        ("./a+folder@0.5", [("./a+folder", 0.5)]),
        ("Detail (XL) v1.0.safetensors@0.8", [("Detail (XL) v1.0.safetensors", 0.8)]),
        ("style@2.safetensors", [("style@2.safetensors", 1.0)]),
        ("style@2.safetensors@0.7", [("style@2.safetensors", 0.7)]),
        ("style@2+x.safetensors", [("style", 2.0), ("x.safetensors", 1.0)]),
        ('"style@2+x.safetensors"@0.5 + flat', [("style@2+x.safetensors", 0.5), ("flat", 1.0)]),
        ("'a+b'", [("a+b", 1.0)]),
    ],
)
def test_names_with_plus_at_and_spaces(text: str, uses: list[tuple[str, float]]) -> None:
    assert [(use.name, use.weight) for use in parse_lora(text)] == uses


def test_a_default_weight_is_for_adapters_that_are_named_without_one() -> None:
    found = parse_lora("flat+ink@0.5", 0.3)
    assert found == (LoraUse("flat", 0.3), LoraUse("ink", 0.5))
    assert parse_lora("none", 0.3) == ()
    with pytest.raises(InputError, match="lora_weight=0.3: has no effect, because lora=flat@0.8"):
        parse_lora("flat@0.8+ink@0.5", 0.3)


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


def test_schedulers_are_classes_that_take_the_familys_config() -> None:
    import diffusers

    for name in SCHEDULERS:
        scheduler = getattr(diffusers, name).from_config({"timestep_spacing": "trailing"})
        scheduler.set_timesteps(1)
        assert len(scheduler.timesteps), name
