"""What the libraries warn of becomes a note of the record."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import pytest

from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.cli.main import main
from turbo_lab.runtime.library_warnings import library_warnings


def test_warnings_are_collected_once_and_only_inside() -> None:
    logger = logging.getLogger("diffusers.loaders.lora_base")
    with library_warnings() as found:
        for _ in range(2):
            logger.warning("filtered out\n the keys %s", ["dora_scale"])
        logger.info("not a warning")
        logging.getLogger("matplotlib").warning("of another library")
        warnings.warn_explicit("invalid value", RuntimeWarning, "/site-packages/peft/layer.py", 1)
        warnings.warn_explicit("use dtype", FutureWarning, "/site-packages/peft/layer.py", 1)
        warnings.warn_explicit("of another", UserWarning, "/site-packages/numpy/core.py", 1)
    logger.warning("outside")
    assert found == [
        "diffusers warned: filtered out the keys ['dora_scale']",
        "peft warned: invalid value",
    ]


def test_what_a_library_drops_while_loading_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_sdxl(tmp_path / "tiny")
    words = [
        "sweep",
        "--json",
        "model=local",
        f"model.path={folder}",
        "num_inference_steps=1",
        "guidance_scale=0",
        "resolution=64",
        "num_images=1",
        "num_threads=1",
        "metrics=none",
        "timing=off",
        "tracking=none",
    ]
    assert main(words) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert "notes" not in cell["provenance"]
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"attention_sink": 4}))
    assert main(words) == 0
    captured = capsys.readouterr()
    (cell,) = json.loads(captured.out)["cells"]
    assert "warning: diffusers" not in captured.err  # diffusers prints it
    (note,) = [text for text in cell["provenance"]["notes"] if not text.startswith("prompt")]
    assert note.startswith("diffusers warned: The config attributes {'attention_sink': 4}")


def test_text_that_the_tokenizer_cuts_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "sweep",
        "--json",
        f"prompt={'a key ' * 60}",
        "num_images=1",
        "num_threads=1",
        "metrics=none",
        "timing=off",
        "tracking=none",
        "seed=1,2",
    ]
    assert main(words) == 0
    captured = capsys.readouterr()
    for cell in json.loads(captured.out)["cells"]:
        (note,) = cell["provenance"]["notes"]
        assert note.startswith("prompt 'a key a key") and "window; cut: 'a key a key" in note
    assert captured.err.count("is longer than the tokenizer's window") == 1
