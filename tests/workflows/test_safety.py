"""A safety checker in a sweep: what it flags is kept, and no pixel is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.metrics.test_safety import save_checker
from tests.report.pages import data_of
from turbo_lab.cli.main import main
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.projection import cell_metrics, late_tags

WORDS = (
    "sweep",
    "prompts=scenes-demo",
    "num_images=4",
    "num_inference_steps=1",
    "num_threads=1",
    "timing=off",
    "metrics=none",
    "tracking=none",
    "--json",
)


def save_strict_checker(folder: Path) -> Path:
    """Save a safety checker that flags every image."""
    from safetensors.torch import load_file, save_file

    checker = save_checker(folder)
    weights = load_file(checker / "model.safetensors")
    weights["concept_embeds_weights"][0] = -2.0  # any image is above that
    save_file(weights, checker / "model.safetensors", {"format": "pt"})
    return checker


def test_what_is_flagged_is_kept_and_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checker = save_strict_checker(tmp_path / "checker")

    def run(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*WORDS, *words]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    (plain,) = run()["cells"]
    document = run(f"safety_checker={checker}")
    (judged,) = document["cells"]
    assert judged["status"] == "reused" and judged["cell_id"] == plain["cell_id"]
    assert "flagged" not in plain["images"][0] and plain["metrics"] == {}
    assert [image["flagged"] for image in judged["images"]] == [True] * 4
    assert judged["metrics"]["flagged"]["value"] == 1.0
    pixels = [[image["pixel_sha256"] for image in one["images"]] for one in (plain, judged)]
    assert pixels[0] == pixels[1]
    sweep = SweepResult.from_document(document, "the sweep")
    (cell,) = sweep.cells
    assert cell_metrics(cell)["flagged"] == 1.0
    facts = CellFacts.of(cell, sweep.store)
    assert late_tags(cell, facts)["turbo_lab.flagged"] == "4 of 4 images"
    assert main(["report", document["sweep_id"]]) == 0
    (shown,) = data_of(Path("report.html").read_text())["cells"]
    assert [image["flagged"] for image in shown["images"]] == [True] * 4
    (again,) = run()["cells"]
    assert [image["flagged"] for image in again["images"]] == [True] * 4, "measured earlier"


def test_generate_says_what_is_flagged_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checker = save_strict_checker(tmp_path / "checker")
    words = ["generate", "a red apple", "num_images=2", "num_threads=1"]
    assert main([*words, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)["images"]
    assert "flagged" not in plain[0]
    assert main([*words, f"safety_checker={checker}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(one.endswith("  flagged by the safety checker") for one in lines)
    assert main([*words, f"safety_checker={checker}", "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)["images"]
    assert judged == [{**image, "flagged": True} for image in plain]


def test_plan_refuses_a_folder_without_a_checker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "safety_checker=nowhere"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("turbo-lab: safety_checker=nowhere: nowhere/model.safetensors and ")
