"""Images under the names that MLflow's page reads, as MLflow's own client writes them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient
from PIL import Image

from turbo_lab.documents.sweep import ImageFile
from turbo_lab.errors import StoreError
from turbo_lab.images import encode_png, pixel_sha256
from turbo_lab.tracking.pictures import image_key, image_stems, write_images

# What MLflow's page takes a file's key and step from (mlflow 3.17).
NAME = re.compile(r"(?P<key>.+)\+step\+(?P<step>\d+)\+timestamp\+\d+\+[0-9a-f-]{36}")


def image(folder: Path, prompt: str, seed: int) -> ImageFile:
    pixels = np.full((64, 48, 3), seed, np.uint8)
    path = folder / f"{seed}.png"
    path.write_bytes(encode_png(pixels, {}))
    return ImageFile(path, pixel_sha256(pixels), seed, prompt)


def test_steps_count_the_images_of_a_prompt(tmp_path: Path) -> None:
    images = [image(tmp_path, prompt, k) for k, prompt in enumerate(["a key", "a cat"] * 2)]
    found = [NAME.fullmatch(stem) for stem, _ in image_stems(images)]
    assert [(one["key"], one["step"]) for one in found if one] == [
        ("a key", "0"),
        ("a cat", "0"),
        ("a key", "1"),
        ("a cat", "1"),
    ]
    assert list(image_stems(images)) == list(image_stems(images))


def test_the_image_is_kept_and_its_copy_is_small(tmp_path: Path) -> None:
    one = image(tmp_path, "a key", 7)
    write_images([one], tmp_path / "images")
    (full,) = (tmp_path / "images").glob("*.png")
    (small,) = (tmp_path / "images").glob("*.webp")
    assert full.read_bytes() == one.path.read_bytes()
    assert small.name == f"{full.stem}+compressed.webp"
    assert Image.open(small).size == (192, 256)


def test_the_names_are_those_of_mlflows_own_client(tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("x", (tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    client.log_image(run, Image.new("RGB", (64, 64)), key="a key-1_2.3", step=4, synchronous=True)
    theirs = sorted(path.name for path in (tmp_path / "artifacts").rglob("images/*"))
    (stem, _), *_ = image_stems([image(tmp_path, "a key-1_2.3", 0)])
    ours = [f"{stem}+compressed.webp", f"{stem}.png"]
    shape = re.compile(r"timestamp\+\d+\+[0-9a-f-]{36}|step\+\d+")
    assert [shape.sub("_", name) for name in theirs] == [shape.sub("_", name) for name in ours]
    assert client.get_run(run).data.tags["mlflow.loggedImages"] == "True"


@given(st.text(max_size=400))
def test_any_prompt_becomes_a_key(prompt: str) -> None:
    key = image_key(prompt)
    assert re.fullmatch(r"[A-Za-z0-9_\-. ]{1,120}", key) and key == key.strip()


def test_keys_of_different_prompts_differ() -> None:
    prompts = ["a cat", "a cat!", "a  cat", "a/cat", "ä cat", "x" * 300, "x" * 301, "猫", "犬"]
    assert len({image_key(prompt) for prompt in prompts}) == len(prompts)
    assert image_key("a cat") == "a cat"


def test_a_link_in_place_of_an_image_is_refused(tmp_path: Path) -> None:
    one = image(tmp_path, "a key", 7)
    (tmp_path / "link.png").symlink_to(one.path)
    with pytest.raises(StoreError, match="not a regular file"):
        write_images([replace(one, path=tmp_path / "link.png")], tmp_path / "images")
