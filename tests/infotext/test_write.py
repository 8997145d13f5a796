"""What turbo-lab writes as an infotext, and that it reads the same again."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.recipes import RECIPE
from turbo_lab import __version__
from turbo_lab.infotext import DrawnImage, Infotext, LoraTag, infotext_of, keys_of

IMAGE = DrawnImage(
    recipe=replace(RECIPE, guidance_scale=2.5, lora=(("a" * 64, 0.5), ("c" * 64, -1.0))),
    prompt="a (red) box",
    negative_prompt="dark",
    seed=7,
    names={RECIPE.model: "my model", "a" * 64: "loras/in:k.safetensors", "c" * 64: "flat"},
    hashes={RECIPE.model: "0123456789abcdef", "c" * 64: "fedcba9876543210"},
)
TEXT = st.text(
    st.characters(min_codepoint=32, exclude_characters="<>", exclude_categories=("Cs", "Cc", "Z"))
)


def test_the_whole_text() -> None:
    assert str(infotext_of(IMAGE)).splitlines() == [
        r"a \(red\) box <lora:in_k:0.5> <lora:flat:-1>",
        "Negative prompt: dark",
        "Steps: 1, Sampler: Euler, Schedule type: Uniform, CFG scale: 2.5, Seed: 7, Size: 64x64, "
        "Model hash: 0123456789, Model: my model, Clip skip: 2, RNG: CPU, "
        f'Lora hashes: "flat: fedcba987654", Version: turbo-lab {__version__}',
    ]


def test_what_is_not_known_is_left_out() -> None:
    image = replace(IMAGE, recipe=RECIPE, names={}, hashes={}, negative_prompt=None)
    settings = infotext_of(image).settings
    assert not {"Model hash", "Lora hashes", "Denoising strength", "Source image"} & set(settings)
    assert (settings["Model"], settings["CFG scale"]) == ("eeeeeeeeeeee", "1")


def test_an_image_that_began_from_another() -> None:
    image = replace(IMAGE, recipe=replace(RECIPE, strength=0.5), source="photo, old.png")
    written = str(infotext_of(image))
    assert "Denoising strength: 0.5" in written and 'Source image: "photo, old.png"' in written


@given(TEXT, TEXT, st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(prompt: str, negative: str, seed: int) -> None:
    image = replace(IMAGE, prompt=f"a {prompt}".strip(), negative_prompt=f"b{negative}", seed=seed)
    found = keys_of(Infotext.parse(str(infotext_of(image))), "x.png")
    if not {"BREAK", "AND"} & set(f"{prompt} {negative}".split()):
        assert found.prompt == image.prompt.strip(" ,")
        assert found.values["negative_prompt"] == image.negative_prompt
    assert found.values["seed"] == seed
    assert found.values["resolution"] == "64x64" and found.values["guidance_scale"] == 2.5
    assert found.values["scheduler"] == "EulerDiscreteScheduler"
    assert (found.model, found.model_hash) == ("my model", "0123456789")
    assert found.loras == (
        LoraTag("in_k", 0.5, None),
        LoraTag("flat", -1.0, "fedcba987654"),
    )
