"""``turbo-lab plan``: counts of a grid, and nothing on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cli.main import main


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_plan_counts_without_writing_anything(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ["num_inference_steps=1,2,3,4", "guidance_scale=0,0.5,1,1.5,2,3", "num_images=16"]
    assert main(["plan", "--json", *grid]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"requested": 24, "distinct": 16, "in_store": 0, "to_run": 16}
    assert document["work"]["unet_rows"] == {"alone": 16 * 90, "planned": 16 * 45}
    assert list(own_folder.iterdir()) == []


def test_default_sweep_applies_only_where_nothing_about_the_grid_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments, cells in (
        ([], 6),
        (["store=x"], 6),
        (["num_images=4"], 1),
        (["seed=7"], 1),
        (["-m"], 6),
    ):
        assert main(["plan", "--json", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["counts"]["requested"] == cells
