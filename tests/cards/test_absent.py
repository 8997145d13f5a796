"""A plan without weights: by the cards' names, with notes, and never a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cards import adapter_card, model_card
from turbo_lab.cards.absent import absence, absent_model
from turbo_lab.cards.hub import how_to_get
from turbo_lab.cli.main import main

GRID = [
    "model=sdxl-turbo,nano-turbo",
    "lora=none,lcm-lora-sdxl@0.5",
    "vae=taesdxl",
    "num_inference_steps=1,4",
    "num_images=4",
    "metrics=none",
    "timing=off",
    "tracking=none",
]


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose Hugging Face cache is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_job_is_planned_without_its_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *GRID, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["distinct"] == 8
    assert found["work"]["unet_rows"]["alone"] == 4 * (1 + 4) * 4
    for name in ("sdxl-turbo", "lcm-lora-sdxl", "taesdxl"):
        (note,) = [text for text in found["warnings"] if text.startswith(f"{name}: ")]
        card = adapter_card(name) if name == "lcm-lora-sdxl" else None
        get = f"turbo-lab models get {name}" if card is None else how_to_get(card)
        assert note.endswith(f"to run it, fetch the files: {get}")
    assert not Path("turbo-lab-store").exists()


def test_a_job_does_not_run_without_its_weights(capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("model=sdxl-turbo", "lora=lcm-lora-sdxl@0.5", "vae=taesdxl"):
        assert main(["sweep", key, "num_images=1", "tracking=none"]) == 2
        error = capsys.readouterr().err
        assert "is not in the local Hugging Face cache" in error and "run: hf download" in error
        if not key.startswith("lora"):  # a model has that name as well
            assert f"(or turbo-lab models get {key.partition('=')[2]})" in error
    assert not Path("turbo-lab-store").exists()


def test_weights_of_the_user_are_not_planned_without(capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("lora=gone.safetensors", "vae=gone", "model.path=gone"):
        assert main(["plan", "model=sdxl-turbo", key]) == 2
        assert "gone" in capsys.readouterr().err


def test_a_stand_in_has_no_digest_of_weights() -> None:
    first, second = (absent_model(model_card(name)) for name in ("sdxl-turbo", "sdxl-base"))
    assert first.digest != second.digest and first.files == {}
    assert "the plan is made from its card" in absence(model_card("sdxl-turbo"))
