"""A record's cell drawn again: identical, changed, or refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from turbo_lab import images
from turbo_lab.cli import main
from turbo_lab.store import Store

SWEEP = ("sweep", "num_inference_steps=1,2", "num_images=2", "batch_size=2", "num_threads=1",
         "timing=off", "metrics=none")  # fmt: skip


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two cells of two images, and the MLflow database beside it."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*SWEEP, "--json"]) == 0
    return folder


@pytest.fixture
def folder(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may damage, as the working directory."""
    shutil.copytree(swept, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def reproduced(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:  # type: ignore[type-arg]
    capsys.readouterr()
    code = main(["reproduce", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_by_path_id_and_png(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(folder / "turbo-lab-store")
    record = next(store.records())
    png = next((store.root / "batches").rglob("*.png"))
    words = [str(store.record_path(record.record_id)), record.cell_id, record.record_id[:10]]
    for word in words:
        code, values = reproduced(capsys, word)
        assert (code, values["verdict"], values["identical"]) == (0, "pass", True)
        assert values["num_images"] == values["num_identical"] == 2
        assert values["fingerprint_difference"] == []
    code, values = reproduced(capsys, str(png), "num_threads=1")
    assert (code, values["num_images"]) == (0, 1)


def test_by_mlflow_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep,) = (folder / "turbo-lab-store" / "sweeps").glob("*/sweep.json")
    run = json.loads(sweep.read_text())["cells"][0]["mlflow_run_id"]
    assert reproduced(capsys, run)[0] == 0


def test_a_changed_pixel_is_found_at_its_stage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if the record had been drawn by a VAE that was a little different."""
    store = Store(folder / "turbo-lab-store")
    record = next(store.records())
    key = record.batches[0]
    path = store.batch_folder(key) / "batch.json"
    values = json.loads(path.read_text())
    image = values["images"][1]
    file = store.batch_folder(key) / image["file"]
    pixels = images.read_png(file)[0].copy()
    pixels[3, 4, 0] ^= 64
    file.write_bytes(images.encode_png(pixels, {}))
    image["pixel_sha256"] = images.pixel_sha256(pixels)
    values["stages"]["vae"] = "0" * 64
    path.write_text(json.dumps(values))
    code, found = reproduced(capsys, record.record_id)
    assert (code, found["verdict"]) == (1, "regression")
    assert (found["num_identical"], found["first_divergence"]["stage"]) == (1, "vae")
    assert found["first_divergence"]["max_abs"] == 64


def test_every_stage_of_a_sweep_is_hashed(folder: Path) -> None:
    store = Store(folder / "turbo-lab-store")
    found = [store.read_batch(key).stages for r in store.records() for key in r.batches]
    assert sorted(len(stages or {}) for stages in found) == [6, 8]
    longest = max(found, key=lambda stages: len(stages or {}))
    assert list(longest or {}) == [
        "noise", "prompt_embeds", "pooled_prompt_embeds", "unet.0", "latents.0", "unet.1",
        "latents.1", "vae",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing.png", "does not exist"),
        ("abcdef0123", "no record of"),
        ("x", "is no PNG, no record's path"),
        ("0" * 32, "has no such run"),
    ],
)
def test_what_is_not_there_is_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    assert main(["reproduce", word]) == 2
    assert message in capsys.readouterr().err


def test_weights_that_have_changed_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = images.encode_png(
        np.zeros((64, 64, 3), np.uint8),
        {"turbo-lab": json.dumps(_about("f" * 64))},
    )
    (folder / "old.png").write_bytes(image)
    assert main(["reproduce", "old.png"]) == 2
    assert "was drawn with nano-turbo ffffffffffff" in capsys.readouterr().err


def _about(model: str) -> dict:  # type: ignore[type-arg]
    recipe = {
        "model": model, "scheduler": "{}", "lora": [], "num_inference_steps": 1,
        "guidance_scale": 0.0, "negative_prompt": None, "width": 64, "height": 64,
        "dtype": "float32", "variant": [],
    }  # fmt: skip
    rows = {"prompts": ["a key"], "seeds": [1]}
    return {
        "recipe": recipe,
        "rows": rows,
        "row": 0,
        "pixel_sha256": "",
        "models": {model: "nano-turbo"},
    }
