"""Config keys of an infotext: what is equivalent, what is said not to be, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.errors import InputError
from turbo_lab.infotext import Infotext, LoraTag, keys_of

A1111 = (
    "Steps: 4, Sampler: Euler a, Schedule type: SGM Uniform, CFG scale: 1.5, Seed: 7, "
    "Size: 512x768, Model hash: E869AC7D69, Model: sd_xl_turbo_1.0_fp16, RNG: CPU, Version: v1.10.1"
)


def notes(more: str = "", prompt: str = "a cat", settings: str = A1111) -> tuple[str, ...]:
    found = keys_of(Infotext.parse(f"{prompt}\n{settings}{more}"), "x.png")
    return found.notes


def test_every_setting_that_is_equivalent() -> None:
    found = keys_of(Infotext.parse(f"a cat\nNegative prompt: dark\n{A1111}"), "x.png")
    assert found.prompt == "a cat" and found.notes == () and found.loras == ()
    assert (found.model, found.model_hash) == ("sd_xl_turbo_1.0_fp16", "e869ac7d69")
    assert dict(found.values) == {
        "num_inference_steps": 4,
        "guidance_scale": 1.5,
        "seed": 7,
        "resolution": "512x768",
        "negative_prompt": "dark",
        "scheduler": "EulerAncestralDiscreteScheduler",
        "model.scheduler": {"timestep_spacing": "trailing"},
    }


def test_keys_of_the_user_are_not_read() -> None:
    settings = "Steps: many, Sampler: Restart, CFG scale: x, Size: 1, Denoising strength: y"
    given = ("num_inference_steps", "guidance_scale", "resolution", "seed", "scheduler", "strength")
    found = keys_of(Infotext.parse(f"a\n{settings}, RNG: CPU"), "x.png", given)
    assert (dict(found.values), found.notes) == ({}, ())


@pytest.mark.parametrize(
    ("more", "note"),
    [
        (", Clip skip: 3", "Clip skip: ignored"),
        (", Hires upscale: 2, Hires steps: 3, Denoising strength: 0.4", "hires fix is left out"),
        (", Variation seed: 3, Variation seed strength: 0.1", "the variation seed is left out"),
        (", Refiner: x, Refiner switch at: 0.8", "the refiner is left out"),
        (", ADetailer model: face, ADetailer version: 1", "ADetailer is left out"),
        (", VAE hash: 235745af8d, VAE: sdxl_vae.safetensors", "its VAE is not looked for"),
        (", TI hashes: x", "textual inversions are left out"),
        (", ENSD: 31337", "ENSD: ignored"),
        (", Emphasis: No norm, NGMS: 4", "ignored: Emphasis, NGMS"),
        (", a a: 1, b b: 1, c c: 1, d d: 1, e e: 1, f f: 1, g g: 1", "f f and 1 more"),
    ],
)
def test_one_line_for_each_difference(more: str, note: str) -> None:
    (found,) = notes(more)
    assert note in found


@pytest.mark.parametrize("rng", ["RNG: GPU", "RNG: NV", "Eta: 0"])
def test_noise_of_a_gpu_is_another(rng: str) -> None:
    found = notes(settings=A1111.replace("RNG: CPU", rng))
    assert "noise: drawn on a GPU there and on the CPU here, so that the image differs" in found


def test_syntax_of_the_prompt() -> None:
    assert notes(prompt="(a:1.2)") == ("attention weights: all words have weight 1",)


@pytest.mark.parametrize(
    ("tag", "weight", "note"),
    [
        ("<lora:x>", 1.0, None),
        ("<lora:x:0.5>", 0.5, None),
        ("<lora:x:0.5:0.5>", 0.5, None),
        ("<lora:x:0.5:0.7>", 0.7, "<lora:x>: one weight of 0.7 for all its parts"),
        ("<lora:x:te=0.2:unet=0.4>", 0.4, "<lora:x>: one weight of 0.4 for all its parts"),
        ("<lora:x:0.5:lbw=OUTALL>", 0.5, "<lora:x>: one weight of 0.5 for all its parts"),
        ("<lyco:x:nan>", 1.0, "<lora:x>: one weight of 1 for all its parts"),
    ],
)
def test_weights_of_a_lora(tag: str, weight: float, note: str | None) -> None:
    more = ', Lora hashes: "y: 00000000, x: 18CC0BCEC4B6"'
    found = keys_of(Infotext.parse(f"a {tag}\n{A1111}{more}"), "x.png")
    assert found.loras == (LoraTag("x", weight, "18cc0bcec4b6"),)
    assert found.notes == (() if note is None else (note,))


def test_another_network_is_left_out() -> None:
    assert notes(prompt="a <hypernet:h:1>") == ("<hypernet:h> is left out",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (A1111.replace("Seed: 7, ", ""), "it has no Seed; add seed=VALUE"),
        (A1111.replace("Seed: 7", "Seed: -1"), "its Seed is '-1'; add seed=VALUE"),
        (A1111.replace("Size: 512x768", "Size: big"), "its Size is 'big'; add resolution=VALUE"),
        (A1111.replace("CFG scale: 1.5", "CFG scale: nan"), "its CFG scale is 'nan'"),
        (f"{A1111}, Denoising strength: 0.5", "it began from a source image, which is not in its"),
        (f'{A1111}, ControlNet 0: "Module: canny"', "it was made with a ControlNet"),
        (f"{A1111}, Denoising strength: 0.5, Mask blur: 4", "it was made with inpainting"),
    ],
)
def test_what_cannot_be_drawn_again(settings: str, message: str) -> None:
    with pytest.raises(InputError, match="x.png: cannot be drawn again: ") as caught:
        notes(settings=settings)
    assert message in str(caught.value)


def test_image_to_image_with_the_source_given() -> None:
    infotext = Infotext.parse(f"a\n{A1111}, Denoising strength: 0.5")
    assert keys_of(infotext, "x.png", ("image",)).values["strength"] == 0.5
    with pytest.raises(InputError, match="its Denoising strength is 'inf'; add strength=VALUE"):
        keys_of(Infotext.parse(f"a\n{A1111}, Denoising strength: inf"), "x.png", ("image",))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = keys_of(Infotext.parse(f"{text}\n{A1111}, {text}"), "x.png")
    except InputError:
        return
    assert found.values["seed"] == 7 or "Seed" in text
