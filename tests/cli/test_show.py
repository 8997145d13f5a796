"""``turbo-lab show``: the recipe inside an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cli.main import main


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_generate_then_show(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "a 'red', apple = (on) a blue background"
    assert main(["generate", "--json", prompt, "seed=7", "num_threads=1"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["seed"] == 7 and image["prompt"] == prompt
    assert main(["show", "--json", image["path"]]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["pixels_intact"] is True
    assert about["prompt"] == prompt and about["pixel_sha256"] == image["pixel_sha256"]
    assert about["recipe"]["num_inference_steps"] == 1
