"""A model against its baselines, from the command line to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cli.main import main

SMALL = ["prompts=scenes-demo", "num_images=8", "batch_size=8", "num_threads=1"]


@pytest.mark.slow
def test_three_fair_ways_with_winners_and_losers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["compare", "model=nano-turbo", "baselines=nano-lcm", *SMALL]
    assert main([*words, "--json", "--html", "out/c.html"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["candidate"] == "nano-turbo 1 step"
    ways = {row["name"].partition(" / ")[2] for row in values["rows"]}
    assert "nano-lcm 4 steps (own settings)" in ways
    assert any(way.startswith("nano-lcm 1 step (equal steps") for way in ways)
    assert any("latency" in way for way in ways)
    for row in values["rows"]:
        assert row["n"] == 8 and row["ci95"] is not None and row["margin"] == 0.0
    labels = {item["label"] for item in values["contenders"]}
    assert set(values["prompts"]) == labels - {values["candidate"]}
    assert set(values["pareto"]) <= labels and values["pareto"]
    page = (tmp_path / "out" / "c.html").read_text()
    assert page.count("data:image/png") >= 8 and "http://" not in page.replace("www.w3.org", "")
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "nano-turbo 1 step" in shown and "nano-lcm 4 steps" in shown


@pytest.mark.slow
def test_variants_of_one_model_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what was asked of one side alone."""
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *SMALL, "candidate.dtype=bfloat16", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["candidate"] == "nano-turbo 1 step dtype=bfloat16"
    labels = [item["label"] for item in values["contenders"]]
    assert labels[:2] == ["nano-turbo 1 step dtype=bfloat16", "nano-turbo 1 step"]
    assert values["prompts"].keys() == set(labels[1:])
    fidelity = {row["name"]: row for row in values["fidelity"]["nano-turbo 1 step"]}
    assert fidelity["psnr"]["n"] == 8 and fidelity["psnr"]["mean"] > 30
    assert fidelity["embedding_cosine"]["worst"] > 0.99 > fidelity["exact_pixel_rate"]["mean"]
    assert "unscored: lpips: needs torchvision" in fidelity["lpips"]["note"]
    names = {row["name"] for row in values["rows"]}
    assert any(name.startswith("clip_score / nano-turbo 1 step (own settings") for name in names)
    assert main(["compare", *SMALL, "candidate.num_inference_steps=1"]) == 2
    assert "the baseline equals the candidate (nano-turbo 1 step)" in capsys.readouterr().err
    with_lora = [*SMALL, "model=nano-turbo", "lora=ink@1", "baselines=nano-turbo", "--json"]
    assert main(["compare", *with_lora]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["candidate"] == "nano-turbo 1 step lora=ink@1"
    (score,) = [
        row for row in values["rows"] if row["name"].startswith("clip_score / nano-turbo 1 ")
    ]
    assert score["difference"] < 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=nano-turbo"], "compare: name the baselines"),
        (["baselines=nano-lcmm", *SMALL], "Did you mean nano-lcm?"),
        (["baselines=nano-lcm", "--html", "/proc/none/c.html"], "cannot be written"),
        (["candidate.dtype=bfloat16", "num_inference_steps=1,2", *SMALL], "one value per key"),
        (["baselines=nano-lcm,nano-sdxl", "lora=flat,ink", *SMALL], "2 candidates and 2 baselines"),
        (["candidate.quantization=int8wo,int9", *SMALL], "quantization=int9: "),
        (["baselines=nano-lcm", "--json", "--markdown"], "both print the result; pass one of them"),
    ],
)
def test_wrong_words_are_exit_2(
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_two_sizes_are_named_before_anything_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["compare", *SMALL, "candidate.resolution=128"]
    assert main(words) in (0, 1, 3)
    first = capsys.readouterr().err.splitlines()[0]
    assert first == (
        "warning: nano-turbo 1 step is drawn at 64x64 and nano-turbo 1 step resolution=128 at "
        "128x128: metrics of two sizes differ by the size, and no two images are compared; give "
        "resolution once, for both"
    )
    assert main(["compare", *SMALL, "candidate.dtype=bfloat16"]) in (0, 1, 3)
    assert "metrics of two sizes" not in capsys.readouterr().err


@pytest.mark.slow
def test_several_candidates_in_one_table_and_one_that_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = [word for word in SMALL if not word.startswith("num_images")]
    words = ["compare", *small, "num_images=64", "device=cpu", "prompts=scenes-heldout"]
    words.append("candidate.quantization=int8wo,float8dq")
    assert main([*words, "--json", "--html", "c.html"]) == 3
    values = json.loads(capsys.readouterr().out)
    assert values["reference"] == "nano-turbo 1 step"
    first, second, failed = values["entrants"]
    assert (first["latency_ratio"], first["psnr_db"]) == (1.0, None)
    assert second["label"] == "nano-turbo 1 step quantization=int8wo" and second["error"] is None
    assert second["psnr_db"] > 20 and 0 < second["worst_tile_ssim"] < 1
    assert second["weights_bytes"] < first["weights_bytes"]
    low, high = second["clip_score_ci95"]
    assert low <= second["clip_score_difference"] <= high
    assert second["frechet_difference"] is not None and second["frechet_ci95"] is not None
    assert failed["error"].startswith("quantization=float8dq: needs a GPU")
    assert "quantization=float8dq" in (tmp_path / "c.html").read_text(encoding="utf-8")
    assert main([*words, "--markdown"]) == 3
    text = capsys.readouterr().out
    assert text.startswith("| entrant | ") and "\n| quantization=int8wo | " in text
    assert "\n| quantization=float8dq | failed |" in text and text.endswith("</details>\n")
