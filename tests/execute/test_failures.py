"""A cell that fails is recorded, the others go on, and the next run tries it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.cli import main
from turbo_lab.runtime.sampler import Sampler

QUICK = ("tracking=none", "timing=off", "metrics=none", "num_threads=1", "num_images=2")


def sweep(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    local = ("model=local", f"model.path={folder}", "resolution=64", "num_inference_steps=1,2,3")
    code = main(["sweep", "--json", *local, *QUICK])
    return code, json.loads(capsys.readouterr().out)


def test_failed_cell_of_a_local_model_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_sdxl(tmp_path / "tiny")
    run = Sampler.run

    def run_out_of_memory(self: Sampler, batch: Any, *rest: Any) -> Any:
        if batch.recipe.num_inference_steps == 2:
            raise RuntimeError("CUDA out of memory:\n tried to allocate 3 GiB")
        return run(self, batch, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "run", run_out_of_memory)
        code, first = sweep(folder, capsys)
    assert code == 3
    assert [cell["status"] for cell in first["cells"]] == ["done", "failed", "done"]
    assert first["cells"][1]["error"] == "CUDA out of memory: tried to allocate 3 GiB"
    assert first["cells"][1]["images"] == []
    code, second = sweep(folder, capsys)
    assert code == 0
    assert [cell["status"] for cell in second["cells"]] == ["reused", "done", "reused"]
    record = json.loads(Path(second["cells"][1]["record"]).read_text())
    assert record["status"] == "done" and record["error"] is None


def test_a_batch_that_a_failed_cell_shares_is_still_made_for_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seeds 0 to 3 and 2 to 5, two a batch: the first cell fails before the batch of both."""
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_sdxl(tmp_path / "tiny")
    run = Sampler.run

    def run_out_of_memory(self: Sampler, batch: Any, *rest: Any) -> Any:
        if batch.layout.seeds == (0, 1):
            raise RuntimeError("out of memory")
        return run(self, batch, *rest)

    monkeypatch.setattr(Sampler, "run", run_out_of_memory)
    arguments = ["model=local", f"model.path={folder}", "resolution=64", "prompt=a red apple",
                 "num_inference_steps=1", "seed=0,2", "batch_size=2", *QUICK[:-1],
                 "num_images=4"]  # fmt: skip
    assert main(["sweep", "--json", *arguments]) == 3
    failed, done = json.loads(capsys.readouterr().out)["cells"]
    assert (failed["status"], done["status"]) == ("failed", "done")
    assert [image["seed"] for image in done["images"]] == [2, 3, 4, 5]
    assert main(["store", "verify"]) == 0
