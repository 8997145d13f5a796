"""Pipeline keys that fail while a cell is drawn: one line with the remedy, and no image."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.graph_stand_in import ReplayedCalls
from turbo_lab.cli.main import main
from turbo_lab.execute.resident import ResidentPipeline
from turbo_lab.request.pipeline import PipelineKeys

WORDS = (
    "num_inference_steps=1",
    "num_images=2",
    "batch_size=2",
    "num_threads=1",
    "metrics=none",
    "timing=off",
    "tracking=none",
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failure(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The error of a sweep's one cell, which has failed without an image."""
    assert main(["sweep", "--json", *WORDS, *words]) == 3
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert (cell["status"], cell["images"]) == ("failed", [])
    assert list(Path().glob("*/batches/**/*.png")) == []
    error: Any = cell["error"]
    assert "\n" not in error
    return str(error)


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        (ReplayedCalls(out_of_memory_at=1), "the device is out of memory"),
        (ReplayedCalls(free=2 << 20, graph_bytes=8 << 20), "its graph takes 8 MiB, the pool 1 MiB"),
    ],
)
def test_a_graph_without_memory(
    backend: ReplayedCalls,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(PipelineKeys, "check", lambda *_, **__: None)
    resident = partial(ResidentPipeline, graph_backend=lambda device: backend)
    monkeypatch.setattr("turbo_lab.execute.worker.ResidentPipeline", resident)
    error = failure(capsys, "pipeline=exact", "graphs=cuda")
    assert reason in error and error.endswith("take a smaller batch_size, or graphs=none")


@pytest.mark.slow
def test_a_compilation_past_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(capsys, "compile=default", "compile_limit_s=0.001") == (
        "compile=default: the UNet is not compiled (it took longer than 0.001 s); raise "
        "compile_limit_s, or use compile=none"
    )
