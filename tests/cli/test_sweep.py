"""``turbo-lab sweep`` on the shipped model: the times that it reports."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from turbo_lab.cli.main import main

WORDS = ["sweep", "num_images=2", "prompts=scenes-demo", "tracking=none"]
PARTS = ("load_s", "wall_s", "timing_s", "metrics_s", "tracking_s")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_parts_of_a_sweeps_time_are_within_its_total(
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = time.perf_counter()
    assert main([*WORDS, "num_inference_steps=1,2", "--json"], began=began - 100) == 0
    took_s = time.perf_counter() - began + 100  # the process is said to be that old
    result = json.loads(capsys.readouterr().out)
    assert result["timing_s"] > 0 and result["metrics_s"] > 0
    assert 100 + sum(result[part] for part in PARTS) < result["total_s"] < took_s


def test_metrics_are_split_by_skill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"prompt": "a red apple on a red background", "skill": "fruit"},
        {"prompt": "a rocket on a red background", "skill": "machines"},
    ]
    (tmp_path / "skills.jsonl").write_text("\n".join(map(json.dumps, lines)))
    own = ["prompts=file", "prompts.path=skills.jsonl", "num_images=4", "timing=off"]
    words = ["sweep", *own, "metrics.names=clip_score", "tracking=none"]
    assert main([*words, "--by", "skill"]) == 0
    out = capsys.readouterr().out
    assert out.index("by skill") < out.index("fruit") < out.index("machines")
    assert main([*words, "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    metric = cell["metrics"]["clip_score"]
    found = metric["by_skill"]
    assert list(found) == ["fruit", "machines"] and found["fruit"]["n"] == 2
    mean = (found["fruit"]["value"] + found["machines"]["value"]) / 2
    assert metric["value"] == pytest.approx(mean)
    assert main([*WORDS, "--by", "skill"]) == 2
    assert "--by skill: prompts=scenes-demo: no prompt has a skill" in capsys.readouterr().err
