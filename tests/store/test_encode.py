"""A batch's record and files: the pixels, the hashes, and what a PNG says about itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.recipes import RECIPE
from turbo_lab import images
from turbo_lab.identity import sha256_text
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.store.encode import DrawnBatch, encode_batch
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import Store, reuse_key

BATCH = Batch(RECIPE, Layout(("a red box", "a blue box"), (3, 4)))
KEYS = {"torch": "2.15.0", "num_threads": 2}


def pixels(rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, 64, 64, 3), dtype=np.uint8)


def test_a_committed_batch_is_read_back_with_its_pixels(tmp_path: Path) -> None:
    drawn = DrawnBatch(BATCH, Exactness.EXACT, KEYS, pixels(), notes=("drawn as 1+1",))
    record, files = encode_batch(drawn)
    assert record.reuse_key == reuse_key(BATCH.batch_id, KEYS, Exactness.EXACT)
    assert [(i.file, i.prompt, i.seed) for i in record.images] == [
        ("00-seed3.png", "a red box", 3),
        ("01-seed4.png", "a blue box", 4),
    ]
    store = Store(tmp_path / "store")
    store.commit_batch(record, files)
    assert store.read_batch(record.reuse_key) == record
    folder = store.batch_folder(record.reuse_key)
    for row, entry in zip(pixels(), record.images, strict=True):
        read, _ = images.read_png(folder / entry.file)
        assert np.array_equal(read, row) and images.pixel_sha256(read) == entry.pixel_sha256


def test_a_png_names_all_that_it_takes_to_draw_it_again(tmp_path: Path) -> None:
    drawn = DrawnBatch(BATCH, Exactness.BATCHED, KEYS, pixels(), names={RECIPE.model: "nano"})
    record, files = encode_batch(drawn)
    path = tmp_path / "one.png"
    path.write_bytes(files["01-seed4.png"])
    _, text = images.read_png(path)
    assert json.loads(text["turbo-lab"]) == {
        "recipe": RECIPE.plain(),
        "negative_prompt": None,
        "prompt": "a blue box",
        "seed": 4,
        "batch_id": BATCH.batch_id,
        "row": 1,
        "rows": {"prompts": ["a red box", "a blue box"], "seeds": [3, 4]},
        "exactness": "batched",
        "pixel_sha256": record.images[1].pixel_sha256,
        "stages": None,
        "keys": KEYS,
        "models": {RECIPE.model: "nano"},
    }
    assert text["parameters"].splitlines()[0] == "a blue box <lora:aaaaaaaaaaaa:0.5>"
    assert (
        text["parameters"]
        .splitlines()[1]
        .startswith(
            "Steps: 1, Sampler: Euler, Schedule type: Uniform, CFG scale: 1, Seed: 4, Size: 64x64, "
            "Model: nano, "
        )
    )


def test_a_png_shows_its_negative_prompt_as_other_tools_do(tmp_path: Path) -> None:
    batch = Batch(replace(RECIPE, negative_prompt=sha256_text("dark")), BATCH.layout)
    hashes = {RECIPE.model: "f" * 64, "a" * 64: "d" * 64}
    drawn = DrawnBatch(
        batch, Exactness.EXACT, KEYS, pixels(), negative_prompt="dark", hashes=hashes
    )
    path = tmp_path / "one.png"
    path.write_bytes(encode_batch(drawn)[1]["00-seed3.png"])
    first, second, settings = images.read_png(path)[1]["parameters"].splitlines()
    assert (first, second) == ("a red box <lora:aaaaaaaaaaaa:0.5>", "Negative prompt: dark")
    assert "Model hash: ffffffffff, Model: eeeeeeeeeeee, Clip skip: 2, RNG: CPU" in settings
    assert 'Lora hashes: "aaaaaaaaaaaa: dddddddddddd"' in settings


def test_as_many_images_as_rows() -> None:
    with pytest.raises(ValueError, match="zip"):
        encode_batch(DrawnBatch(BATCH, Exactness.EXACT, KEYS, pixels(1)))
