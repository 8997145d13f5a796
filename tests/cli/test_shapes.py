"""Models with random weights, from the command line: speed is measured, looks are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes import RECIPE
from tests.tiny_shape import save_tiny_shape
from turbo_lab.cards import locate, model_card
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError
from turbo_lab.store.record import Exactness
from turbo_lab.workflows.recorded_weights import RecordedNames
from turbo_lab.workflows.reproduce import Drawing, reproduce

ONE = ["num_images=2", "batch_size=2", "resolution=64", "num_threads=1", "prompts=scenes-demo"]
SHIPPED = "model=sdxl-turbo-shape"


@pytest.fixture
def tiny(tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words of a shape that a CPU draws in no time; by the same code as the shipped ones."""
    monkeypatch.chdir(tmp_path)
    return ["model=local", f"model.path={save_tiny_shape(tiny_sdxl_dir, tmp_path / 'shape')}", *ONE]


def test_bench_times_it(tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *tiny, "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert cell["status"] == "done" and cell["latency_s"]["n"] >= 6
    assert cell["batch_size"] == 2 and cell["energy"] is None
    assert set(cell["stages_s"]) == {"text", "unet", "vae", "post", "other"}


def test_a_sweep_without_metrics_runs(tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [*tiny, "metrics=none", "tracking=none", "num_inference_steps=1,2", "--json"]
    assert main(["sweep", *words]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["counts"]["done"] == 2
    assert all(cell["metrics"] == {} and cell["latency_s"]["n"] >= 6 for cell in values["cells"])


NOISE = "sdxl-turbo-shape has random weights, so its images are noise; "


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep", SHIPPED], f"metrics: model={NOISE}set metrics=none"),
        (["plan", SHIPPED], f"metrics: model={NOISE}set metrics=none"),
        (["sweep", f"{SHIPPED},nano-turbo"], f"metrics: model={NOISE}set metrics=none"),
        (["compare", SHIPPED, "baselines=nano-turbo"], f"compare: model={NOISE}compare the speed"),
        (["compare", "model=nano-turbo", "baselines=sdxl-turbo-shape"], f"compare: model={NOISE}"),
        (["golden", "record", "shape", SHIPPED], f"golden shape: model={NOISE}record goldens of"),
        (["gate", "gate=release", SHIPPED], f"gate: model={NOISE}set gate.quality and"),
        (["sweep", "vae=sdxl-vae-fp16-shape"], "metrics: vae=sdxl-vae-fp16-shape has random"),
    ],
)
def test_what_is_about_looks_is_refused_in_one_line(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    refused = [line for line in capsys.readouterr().err.splitlines() if "noise" in line]
    assert len(refused) == 1 and message in refused[0]
    assert not (tmp_path / "turbo-lab-store").exists()


def test_its_pixels_are_not_reproduced(tmp_path: Path) -> None:
    files = locate(model_card("sdxl-turbo-shape"))
    recipe = replace(RECIPE, model=files.digest, lora=())
    weights = RecordedNames("here", {files.digest: files.name})
    drawing = Drawing(recipe, None, weights, {}, (), None, Exactness.EXACT)
    with pytest.raises(InputError, match="here: sdxl-turbo-shape has random weights, which differ"):
        reproduce(drawing, "cpu", 1)
