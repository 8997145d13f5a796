"""Keys of an image: what was drawn is asked for again, or what is missing is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from turbo_lab import images
from turbo_lab.api.words import key_words
from turbo_lab.cards import WEIGHTS, locate_adapter
from turbo_lab.config import compose
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.identity import DigestCache
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.store.encode import DrawnBatch, encode_batch
from turbo_lab.store.record import Exactness
from turbo_lab.workflows.image_keys import ImageKeys, differences, read_image_keys
from turbo_lab.workflows.origins import cell_origin

SETTINGS = "Steps: 2, Sampler: Euler a, CFG scale: 1, Seed: 7, Size: 64x64, RNG: CPU"


def resolved(*words: str) -> ResolvedSweep:
    return resolve_points(compose("generate", ["num_threads=1", *words]))


def asked_again(found: ImageKeys, *words: str) -> ResolvedSweep:
    """Resolve the keys of an image, as ``generate --from`` does."""
    (point,) = compose("generate", ["num_threads=1", *key_words(found.values), *words])
    return resolve_points([replace(point, values={**point.values, "prompt": found.prompt})])


def image_of(sweep: ResolvedSweep, folder: Path, row: int = 0) -> Path:
    """Write the PNG file that a sweep's first batch has, with other pixels."""
    cell = sweep.cells[0]
    origin, batch = cell_origin(sweep.library, None, cell), cell.batches[0]
    drawn = DrawnBatch(
        batch=batch,
        exactness=Exactness.EXACT,
        keys={},
        pixels=np.zeros((len(batch.layout.seeds), 8, 8, 3), np.uint8),
        negative_prompt=cell.negative_prompt,
        names=origin.names,
        source_names=origin.source_names,
        hashes=origin.hashes,
    )
    path = folder / "image.png"
    path.write_bytes(list(encode_batch(drawn)[1].values())[row])
    return path


def without_recipe(path: Path) -> Path:
    """Leave only the infotext in an image, as a program that does not know the other does."""
    pixels, text = images.read_png(path)
    path.write_bytes(images.encode_png(pixels, {"parameters": text["parameters"]}))
    return path


def read(path: Path, given: Collection[str] = ()) -> ImageKeys:
    return read_image_keys(path, given, path.parent / "store")


@pytest.mark.parametrize(
    "words",
    [
        ("num_inference_steps=2", "seed=7"),
        ("guidance_scale=2.5", "negative_prompt='dark, (red)'", "dtype=bfloat16"),
        ("lora=flat@0.8+ink@-0.5", "resolution=128x64"),
        ("model=nano-lcm", "vae=nano-vae"),
        ("model=nano-sdxl", "scheduler=DPMSolverMultistepScheduler"),
        ("model=nano-sdxl", "model.scheduler={use_karras_sigmas:true,timestep_spacing:linspace}"),
        ("quantization=int8wo", "memory_format=channels_last", "vae_tiling=true"),
    ],
)
def test_an_image_of_ours_is_asked_for_again(words: tuple[str, ...], tmp_path: Path) -> None:
    sweep = resolved(*words, "prompt='a cat, (red)'")
    found = read(image_of(sweep, tmp_path))
    again = asked_again(found)
    assert again.cells[0].cell_id == sweep.cells[0].cell_id
    assert found.notes == () and differences(found, again, ()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("num_inference_steps=2", "seed=7"),
        ("guidance_scale=2.5", "negative_prompt='dark, (red)'"),
        ("lora=flat@0.8+ink@-0.5", "resolution=128x64"),
        ("model=nano-lcm",),
        ("model=nano-sdxl", "scheduler=DPMSolverMultistepScheduler"),
    ],
)
def test_our_infotext_asks_for_the_same_image(words: tuple[str, ...], tmp_path: Path) -> None:
    sweep = resolved(*words, "prompt='a cat, (red)'")
    found = read(without_recipe(image_of(sweep, tmp_path)))
    assert found.notes == ()
    again, wanted = asked_again(found).cells[0], sweep.cells[0]
    assert again.batches[0].layout == wanted.batches[0].layout
    kept = replace(again.recipe, scheduler=wanted.recipe.scheduler)
    assert kept == replace(wanted.recipe)
    first, second = (json.loads(one.recipe.scheduler) for one in (again, wanted))
    for key in ("_class_name", "timestep_spacing", "prediction_type"):
        assert first.get(key) == second.get(key)


def test_a_row_of_a_batch_is_drawn_alone_and_that_is_said(tmp_path: Path) -> None:
    sweep = resolved("prompts=scenes-demo", "num_images=3", "seed=5")
    found = read(image_of(sweep, tmp_path, row=2))
    assert found.prompt == sweep.cells[0].batches[0].layout.prompts[2]
    assert found.values["seed"] == 7
    (note,) = found.notes
    assert note.startswith("drawn alone, and not in a batch of 3: some bits may differ; turbo-lab")


def test_keys_of_the_user_come_first(tmp_path: Path) -> None:
    sweep = resolved("lora=flat", "prompt=cat")
    given = {"model", "lora", "num_inference_steps", "dtype"}
    found = read(image_of(sweep, tmp_path), given)
    assert not given & set(found.values)
    words = ("model=nano-sdxl", "lora=ink", "num_inference_steps=3", "dtype=bfloat16")
    assert differences(found, asked_again(found, *words), given) == []
    assert differences(found, asked_again(found, *words), ()) == [
        f"{part}: not the image's"
        for part in ("model", "scheduler", "lora", "num_inference_steps", "dtype")
    ]


def test_own_weights_are_named_by_the_user_or_refused(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS / "flat" / "pytorch_lora_weights.safetensors", tmp_path / "my.safetensors")
    own = tmp_path / "my.safetensors"
    image = image_of(resolved(f"lora={own}@0.5", "prompt=cat"), tmp_path)
    assert read(image).values["lora"] == f"{own}@0.5"
    own.unlink()
    with pytest.raises(InputError, match=r"its LoRA .*my.safetensors is not here; add lora=FILE"):
        read(image)
    assert "lora" not in read(image, {"lora"}).values


def write(folder: Path, text: str) -> Path:
    path = folder / "image.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_model_is_known_by_its_name_or_its_hash(tmp_path: Path) -> None:
    named = write(tmp_path, f"a cat\n{SETTINGS}, Model: nano-turbo")
    assert read(named).values["model"] == "nano-turbo"
    published = write(tmp_path, f"a\n{SETTINGS}, Model: sd_xl_turbo_1.0_fp16, Model hash: 00000000")
    found = read(published)
    assert found.values["model"] == "sdxl-turbo"
    assert found.notes == (
        "Model: sd_xl_turbo_1.0_fp16 (hash 00000000) is taken to be model=sdxl-turbo",
    )
    file = tmp_path / "style.safetensors"
    file.write_bytes(b"x" * 20)
    beginning = DigestCache().file(file)[:10]
    hashed = write(tmp_path, f"a\n{SETTINGS}, Model: other, Model hash: {beginning}")
    values = read(hashed).values
    assert (values["model"], values["model.path"]) == ("local", str(file))
    with pytest.raises(InputError, match="its model is not known here: no name; add model.path="):
        read(write(tmp_path, f"a\n{SETTINGS}"))
    assert "model" not in read(write(tmp_path, f"a\n{SETTINGS}"), {"model.path"}).values


def test_a_lora_is_known_by_its_hash_or_its_name(tmp_path: Path) -> None:
    flat = locate_adapter("flat")
    assert flat.tensors_digest is not None
    hashes = f', Lora hashes: "mine: {flat.tensors_digest[:12]}, ink: 0123456789ab"'
    text = f"a <lora:mine:0.5> <lora:flat:0>\n{SETTINGS}, Model: nano-turbo"
    assert read(write(tmp_path, text + hashes)).values["lora"] == f"{flat.path}@0.5"
    with pytest.raises(InputError, match=r"its LoRA is not known here: mine; add lora=FILE@0.5, o"):
        read(write(tmp_path, text))
    other = f"a <lora:ink:1>\n{SETTINGS}, Model: nano-turbo{hashes}"
    with pytest.raises(InputError, match=r"not known here: ink \(hash 0123456789ab\); add lora="):
        read(write(tmp_path, other))
    assert read(write(tmp_path, other), {"lora"}).notes == ("lora: yours takes the place of ink",)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "holds no recipe of turbo-lab, and no text of A1111 or Forge to draw from"),
        ({"prompt": "{}", "workflow": "{}"}, "holds only a workflow of ComfyUI, and no text"),
        ({"parameters": "a cat"}, "holds no recipe of turbo-lab"),
        ({"parameters": "a" * 200_000}, "its text has 200,000 characters, over 100,000"),
        ({"turbo-lab": "{"}, "its turbo-lab recipe: is damaged"),
        ({"turbo-lab": "{}"}, "its turbo-lab recipe"),
    ],
)
def test_an_image_that_says_nothing(texts: dict[str, str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(images.encode_png(np.zeros((8, 8, 3), np.uint8), texts))
    with pytest.raises(TurboLabError, match=r"a\.png: ") as caught:
        read(path)
    assert message in str(caught.value)


def test_a_text_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is neither an image nor a text in UTF-8"):
        read(path)
    with pytest.raises(InputError, match="does not exist|cannot be read"):
        read(tmp_path / "b.txt")


def test_a_source_image_is_looked_for_next_to_the_image(tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    source.write_bytes(images.encode_png(np.zeros((64, 64, 3), np.uint8), {}))
    sweep = resolved(f"image={source}", "strength=0.5", "num_inference_steps=4", "prompt=cat")
    image = image_of(sweep, tmp_path)
    found = read(image)
    assert found.values["image"] == str(source)
    assert asked_again(found).cells[0].cell_id == sweep.cells[0].cell_id
    source.unlink()
    with pytest.raises(InputError, match=r"began from a source image \(photo.png\) that is not"):
        read(image)
