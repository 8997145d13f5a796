"""``turbo-lab bench`` on the shipped model, from the command line to the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cli.main import main
from turbo_lab.runtime import paired_timing
from turbo_lab.runtime.timing import TimingRule

ONE = ["num_threads=1", "num_images=2", "prompts=scenes-demo"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_batch_lies_on_the_line_by_the_images_that_were_drawn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "batch_size=1,2,16", *ONE, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [row["batch_size"] for row in values["cells"]] == [1, 2, 2]
    assert values["fits"] == []  # two places, for any request
    for row in values["cells"]:
        assert sum(row["stages_s"].values()) == pytest.approx(row["latency_s"]["mean"])
        assert row["latency_s"]["n"] >= 6 and row["latency_s"]["p99"] is None


@pytest.mark.slow
def test_two_sides_have_a_ratio_and_name_no_winner_over_themselves(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = TimingRule("short", 1, 0.0, 1, 0.0, 6, 0.0)
    monkeypatch.setattr(paired_timing, "timing_rule", lambda name: quick)
    assert main(["bench", "nano-turbo", "nano-sdxl", *ONE, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["verdict"] == "B is slower" and values["ratio"] > 3  # 25 steps with guidance
    low, high = values["ci95"]
    assert low <= values["ratio"] <= high
    assert len(values["baseline_blocks_s"]) == len(values["candidate_blocks_s"]) == 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nano-turbo"], "name two models, or none"),
        (["nano-turbo", "nano-sdxl", "nano-lcm"], "name two models, or none"),
        (
            ["nano-turbo", "nano-sdxl", "candidate.num_threads=2", "baseline.num_threads=1"],
            "num_threads is 1 for the baseline and 2 for the candidate",
        ),
        (["timing=off"], "timing=off: this command times cells"),
    ],
)
def test_wrong_words_are_explained(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    assert message in capsys.readouterr().err
