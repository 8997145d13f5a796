"""The driver of a sweep: a cell that fails is recorded, the others go on, and it is tried again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cards.checkpoints import TO_Q, lora
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab import images
from turbo_lab.cards import locate_adapter
from turbo_lab.cli.main import main
from turbo_lab.runtime.sampler import Sampler

QUICK = ("tracking=none", "timing=off", "metrics=none", "num_threads=1", "num_images=2")


def sweep(
    folder: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, dict[str, Any]]:
    local = ("model=local", f"model.path={folder}", "resolution=64", "num_inference_steps=1,2,3")
    code = main(["sweep", "--json", *local, *QUICK, *more])
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
    times = [[cell.get("drawn_s") for cell in sweep["cells"]] for sweep in (first, second)]
    assert times[0][0] == times[1][0] > 0, "a cell that is reused keeps its time"
    assert times[0][1] is None and times[1][1] > 0
    record = json.loads(Path(second["cells"][1]["record"]).read_text())
    assert record["status"] == "done" and record["error"] is None


def test_fail_fast_draws_nothing_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_sdxl(tmp_path / "tiny")
    run, drawn = Sampler.run, []

    def fail_at_the_second(self: Sampler, batch: Any, *rest: Any) -> Any:
        drawn.append(batch.recipe.num_inference_steps)
        if len(drawn) == 2:
            raise RuntimeError("no kernel image")
        return run(self, batch, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "run", fail_at_the_second)
        code, first = sweep(folder, capsys, "fail_fast=true")
    assert code == 3 and len(drawn) == 2
    errors = {cell["axes"]["num_inference_steps"]: cell["error"] for cell in first["cells"]}
    left = next(iter({1, 2, 3} - set(drawn)))
    assert errors == {
        drawn[0]: None,
        drawn[1]: "no kernel image",
        left: "not drawn, because another cell failed (fail_fast=true)",
    }
    code, second = sweep(folder, capsys)
    assert code == 0
    assert sorted(cell["status"] for cell in second["cells"]) == ["done", "done", "reused"]


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
    arguments = [
        "model=local",
        f"model.path={folder}",
        "resolution=64",
        "prompt=a red apple",
        "num_inference_steps=1",
        "seed=0,2",
        "batch_size=2",
        *QUICK[:-1],
        "num_images=4",
    ]
    assert main(["sweep", "--json", *arguments]) == 3
    failed, done = json.loads(capsys.readouterr().out)["cells"]
    assert (failed["status"], done["status"]) == ("failed", "done")
    assert [image["seed"] for image in done["images"]] == [2, 3, 4, 5]
    assert main(["store", "verify"]) == 0


def run_with_loras(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, *loras: Path | str
) -> tuple[int, dict[str, Any], str]:
    """Exit code, document (empty where nothing was printed) and standard error."""
    local = (
        "model=local",
        f"model.path={folder}",
        "resolution=64",
        "num_inference_steps=1",
        "guidance_scale=0",
    )
    code = main([command, "--json", *local, *QUICK, f"lora={','.join(map(str, loras))}"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out or "{}"), captured.err


def test_a_lora_that_does_not_fit_fails_its_own_cells_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_sdxl(tmp_path / "tiny")
    large = lora(
        tmp_path / "large.safetensors",
        {f"unet.{TO_Q}.lora_A.weight": (4, 640), f"unet.{TO_Q}.lora_B.weight": (640, 4)},
    )
    problem = "large.safetensors: is for another architecture than model=tiny"
    _, plan, _ = run_with_loras(folder, capsys, "plan", "none", large)
    assert problem in plan["warnings"][0] and plan["work"]["vae_rows"]["planned"] == 2
    code, swept, said = run_with_loras(folder, capsys, "sweep", "none", large)
    assert code == 3 and problem in said
    assert [cell["status"] for cell in swept["cells"]] == ["done", "failed"]
    record = json.loads(Path(swept["cells"][1]["record"]).read_text())
    assert record["status"] == "failed" and problem in record["error"]
    # Where no cell is left, it is the user's to change: nothing is begun.
    code, nothing, said = run_with_loras(folder, capsys, "sweep", large)
    assert code == 2 and nothing == {} and said.count("\n") == 1 and problem in said
    # Absent is absent: another architecture's LoRA at weight 0 is no LoRA.
    code, swept, _ = run_with_loras(folder, capsys, "sweep", f"{large}@0", "none")
    assert code == 0 and [cell["status"] for cell in swept["cells"]] == ["reused"]


def test_a_lora_file_that_is_cut_short_is_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = locate_adapter("flat").path
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-10_000])
    assert main(["sweep", *QUICK, "lora=none,cut.safetensors,flat@0.5"]) == 2
    assert "cut.safetensors is cut off (1,775,312 bytes, its header" in capsys.readouterr().err
    assert not (tmp_path / "turbo-lab-store").exists()


def test_a_lora_of_layers_that_no_model_has_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stem = "lora_te1_text_model_encoder_layers_11_mlp_fc1"
    shapes = {f"{stem}.lora_down.weight": (4, 64), f"{stem}.lora_up.weight": (256, 4)}
    lora(tmp_path / "deep.safetensors", shapes)
    assert main(["sweep", "--json", *QUICK, "lora=none,deep.safetensors"]) == 2
    said = capsys.readouterr().err
    assert "adapts text_encoder.text_model_encoder_layers_11_mlp_fc1, which this model" in said


def test_a_lora_that_changes_nothing_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_sdxl(tmp_path / "tiny")
    shapes = {f"unet.{TO_Q}.lora_A.weight": (4, 32), f"unet.{TO_Q}.lora_B.weight": (32, 4)}
    zeros = lora(tmp_path / "zeros.safetensors", shapes)
    code, swept, said = run_with_loras(folder, capsys, "sweep", "none", zeros)
    assert code == 0 and "zeros.safetensors: changes no weight: its products are all zero" in said
    record = json.loads(Path(swept["cells"][1]["record"]).read_text())
    assert any("changes no weight" in note for note in record["provenance"]["notes"])


class OfALibrary(Exception):
    """A type that no list of ours knows."""


@pytest.mark.parametrize("error", [OfALibrary("no such layer"), IndexError("list index")])
def test_any_exception_of_a_library_fails_its_own_cell_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Sampler.run

    def refuse(self: Sampler, batch: Any, *rest: Any) -> Any:
        if batch.recipe.num_inference_steps == 2:
            raise error
        return run(self, batch, *rest)

    monkeypatch.setattr(Sampler, "run", refuse)
    code, found = sweep(save_tiny_sdxl(tmp_path / "tiny"), capsys)
    assert code == 3
    assert [cell["status"] for cell in found["cells"]] == ["done", "failed", "done"]
    assert found["cells"][1]["error"] == f"{type(error).__name__}: {error}"


def test_a_bug_of_ours_fails_its_cell_and_is_raised_once_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, run = save_tiny_sdxl(tmp_path / "tiny"), Sampler.run

    def break_down(self: Sampler, batch: Any, *rest: Any) -> Any:
        if batch.recipe.num_inference_steps == 2:
            batch = None  # our own code then meets what it never should
        return run(self, batch, *rest)

    monkeypatch.setattr(Sampler, "run", break_down)
    local = ("model=local", f"model.path={folder}", "resolution=64", "num_inference_steps=1,2,3")
    assert main(["sweep", *local, *QUICK]) == 4
    said = capsys.readouterr().err
    assert "Traceback" in said and "failed: a bug in turbo-lab: AttributeError" in said
    (document,) = (tmp_path / "turbo-lab-store" / "sweeps").glob("*/sweep.json")
    cells = json.loads(document.read_text())["cells"]
    assert [cell["status"] for cell in cells] == ["done", "failed", "done"]


def test_models_of_equal_weights_keep_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """nano-lcm is nano-sdxl's weights with an adapter."""
    monkeypatch.chdir(tmp_path)
    words = ["sweep", "--json", *QUICK, "model=nano-sdxl,nano-lcm", "num_inference_steps=1"]
    assert main(words) == 0
    for cell, name in zip(
        json.loads(capsys.readouterr().out)["cells"], ("nano-sdxl", "nano-lcm"), strict=True
    ):
        (about,) = json.loads(Path(cell["record"]).read_text())["provenance"]["models"].items()
        assert about[0] == name and about[1]["license_source"].count(name) == 1
        _, text = images.read_png(Path(cell["images"][0]["path"]))
        assert f"Model: {name}" in text["parameters"]
        assert name in json.loads(text["turbo-lab"])["models"].values()


def test_a_cell_whose_batch_was_taken_out_and_fails_is_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_sdxl(tmp_path / "tiny")
    _, first = sweep(folder, capsys)
    record = json.loads(Path(first["cells"][1]["record"]).read_text())
    (key,) = record["batches"]
    shutil.rmtree(tmp_path / "turbo-lab-store" / "batches" / key[:2] / key)

    def run_out_of_memory(self: Sampler, batch: Any, *rest: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "run", run_out_of_memory)
        code, second = sweep(folder, capsys)
    assert code == 3
    assert [cell["status"] for cell in second["cells"]] == ["reused", "failed", "reused"]
    assert second["cells"][1]["error"] == "CUDA out of memory"
    code, third = sweep(folder, capsys)
    assert code == 0
    assert third["cells"][1]["images"] == first["cells"][1]["images"]
