"""Whole sweeps: extended, drawn together, split when memory is short, left to the stock call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import turbo_lab
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab import images
from turbo_lab.cli.main import main
from turbo_lab.runtime.sampler import Sampler
from turbo_lab.store.store import Store

QUICK = ("tracking=none", "timing=off", "metrics=none", "num_threads=1", "resolution=64")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of our own; the working directory is empty."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return save_tiny_sdxl(tmp_path / "tiny")


class Runner:
    """Runs commands on one checkpoint."""

    def __init__(self, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.model, self.capsys = model, capsys
        self.notes = ""

    def __call__(self, command: str, *overrides: str, code: int = 0) -> dict[str, Any]:
        local = ("model=local", f"model.path={self.model}", "guidance_scale=0", *QUICK)
        assert main([command, "--json", *local, *overrides]) == code
        captured = self.capsys.readouterr()
        self.notes = captured.err
        return json.loads(captured.out)


@pytest.fixture
def run(model: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(model, capsys)


def statuses(document: dict[str, Any]) -> list[str]:
    return [cell["status"] for cell in document["cells"]]


def hashes(document: dict[str, Any]) -> list[list[str]]:
    return [[i["pixel_sha256"] for i in cell["images"]] for cell in document["cells"]]


def record(document: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return json.loads(Path(document["cells"][index]["record"]).read_text())


def sheet_size(document: dict[str, Any]) -> tuple[int, ...]:
    path = Path(document["store"]) / "sweeps" / document["sweep_id"] / "sheet.png"
    return images.read_png(path)[0].shape


def test_extended_sweep_runs_only_new_cells_and_draws_all(run: Runner) -> None:
    first = run("sweep", "num_inference_steps=1,2", "num_images=2")
    longer = run("sweep", "num_inference_steps=1,2,3", "num_images=2")
    assert statuses(longer) == ["reused", "reused", "done"]
    # The new cell's own work, and nothing else: three steps of two images.
    assert longer["work"]["unet_rows"]["done"] == 6
    assert hashes(longer)[:2] == hashes(first)
    assert sheet_size(longer) > sheet_size(first)
    fresh = run("sweep", "num_inference_steps=1,2,3", "num_images=2", "store=another")
    assert hashes(fresh) == hashes(longer)


def test_more_seeds_run_only_new_batches(run: Runner) -> None:
    first = run("sweep", "num_inference_steps=1,2", "num_images=2", "batch_size=2")
    more = run("sweep", "num_inference_steps=1,2", "num_images=4", "batch_size=2")
    assert more["work"]["vae_rows"]["done"] == 4
    assert [row[:2] for row in hashes(more)] == hashes(first)
    # One more value of an axis that spans the first: what is there is not drawn again.
    seeds = run("sweep", "num_inference_steps=1,2", "num_images=2", "seed=0,2", "batch_size=2")
    assert statuses(seeds) == ["reused", "done", "reused", "done"]


def test_planned_work_is_the_work_done(run: Runner) -> None:
    grid = ("num_inference_steps=1,2,3", "guidance_scale=0,1,1.5,2", "num_images=3")
    for share in ("exact", "batched", "none"):
        options = (*grid, f"share={share}", f"store={share}", "batch_size=2")
        planned = run("plan", *options)["work"]
        done = run("sweep", *options)["work"]
        assert {k: v["planned"] for k, v in planned.items()} == {
            k: v["done"] for k, v in done.items()
        }, share
        assert {k: v["alone"] for k, v in planned.items()} == {
            k: v["alone"] for k, v in done.items()
        }


def test_a_scheduler_of_two_evaluations_a_step_is_counted_so(run: Runner) -> None:
    grid = ("scheduler=HeunDiscreteScheduler", "num_inference_steps=1,3", "num_images=2")
    planned, done = (run(command, *grid)["work"]["unet_rows"] for command in ("plan", "sweep"))
    assert planned == {"alone": 12, "planned": 12} and done == {"alone": 12, "done": 12}


def test_batched_results_are_never_taken_for_exact_ones(run: Runner) -> None:
    grid = ("num_inference_steps=1,2", "num_images=2")
    batched = run("sweep", *grid, "share=batched")
    assert record(batched)["exactness"] == "batched"
    assert run("plan", *grid)["counts"]["in_store"] == 0
    exact = run("sweep", *grid)
    assert statuses(exact) == ["done", "done"]
    assert record(exact)["exactness"] == "exact"
    assert statuses(run("sweep", *grid, "share=batched")) == ["reused", "reused"]
    assert statuses(run("sweep", *grid, "share=none")) == ["reused", "reused"]


def test_warning_where_few_steps_start_far_from_noise(run: Runner) -> None:
    leading = "model.scheduler={timestep_spacing:leading}"
    plan = run("plan", leading, "num_inference_steps=1,4,40", "guidance_scale=0,2", "num_images=1")
    (warning,) = plan["warnings"]
    assert "num_inference_steps=1, 4: EulerAncestralDiscreteScheduler" in warning
    assert "timestep_spacing=leading starts at t=0, 750 of 999" in warning
    assert 'model.scheduler="{timestep_spacing:trailing}"' in warning
    run("sweep", leading, "num_inference_steps=1", "guidance_scale=0,2", "num_images=1")
    assert run.notes.count("starts at t=0 of 999") == 1
    assert run("plan", "num_inference_steps=1,4", "num_images=1")["warnings"] == []


def limit_memory(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """UNet calls above so many rows find no room."""
    evaluate = Sampler.evaluate

    def limited(self: Sampler, run: Any, model_input: Any, timestep: Any) -> Any:
        if len(model_input) > rows:
            raise MemoryError(f"no room for {len(model_input)} rows")
        return evaluate(self, run, model_input, timestep)

    monkeypatch.setattr(Sampler, "evaluate", limited)


def test_out_of_memory_fails_the_cell_or_splits_its_batches(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = ("guidance_scale=0,2", "num_images=4", "num_inference_steps=1")
    with monkeypatch.context() as patch:
        limit_memory(patch, 4)
        failed = run("sweep", *grid, code=3)
        assert statuses(failed) == ["done", "failed"]
        assert failed["cells"][1]["error"] == "no room for 8 rows"
        split = run("sweep", *grid, "on_out_of_memory=split")
        assert "out of memory at 4 images: drawn as 2+2" in run.notes
    assert statuses(split) == ["reused", "done"]
    assert record(split, 0)["exactness"] == "exact"
    assert record(split, 1)["exactness"] == "split"
    (key,) = record(split, 1)["batches"]
    assert Store(Path(split["store"])).read_batch(key).stages == {}  # parts have no one tensor
    assert record(split, 1)["provenance"]["notes"] == ["out of memory at 4 images: drawn as 2+2"]
    # It is reused where splitting is allowed, and only there.
    again = run("sweep", *grid, "on_out_of_memory=split")
    assert statuses(again) == ["reused", "reused"]
    assert hashes(again) == hashes(split)
    exact = run("sweep", *grid)
    assert statuses(exact) == ["reused", "done"]
    assert record(exact, 1)["exactness"] == "exact"
    # What is there exactly is preferred to parts.
    assert record(run("sweep", *grid, "on_out_of_memory=split"), 1)["exactness"] == "exact"


def test_what_the_sampler_does_not_cover_is_drawn_by_the_stock_pipeline(run: Runner) -> None:
    config = run.model / "vae" / "config.json"
    statistics = {"latents_mean": [0.1] * 4, "latents_std": [1.5] * 4}
    config.write_text(json.dumps(json.loads(config.read_text()) | statistics))
    note = "a VAE with latent statistics: drawn by the stock pipeline, nothing shared"
    for share in ("exact", "batched"):
        done = run("sweep", "num_inference_steps=1,2", "num_images=2", f"share={share}")
        assert statuses(done) == ["done", "done"]
        assert run.notes.count(note) == 1
        assert record(done)["provenance"]["notes"] == [note]
        assert done["work"]["unet_rows"] == {"alone": 6, "done": 6}


def test_forecast_follows_what_the_store_measured(run: Runner) -> None:
    grid = ("num_inference_steps=1", "num_images=2")
    nothing = {"wall_s": None, "peak_memory_bytes": None, "disk_bytes": None}
    assert run("plan", *grid)["forecast"] == nothing
    run("sweep", *grid, "timing=short")
    one = run("plan", "num_inference_steps=2", "num_images=2")["forecast"]
    two = run("plan", "num_inference_steps=2", "num_images=4", "batch_size=2")["forecast"]
    assert one["wall_s"] > 0 and one["peak_memory_bytes"] > 1 << 20
    assert two["wall_s"] == pytest.approx(2 * one["wall_s"])
    assert two["disk_bytes"] == pytest.approx(2 * one["disk_bytes"], abs=1)
    held = sum(path.stat().st_size for path in Path("turbo-lab-store/batches").rglob("*.*"))
    assert one["disk_bytes"] == held
    # Nothing of that size, or in a larger batch, or with other threads, was measured.
    assert run("plan", *grid, "resolution=128")["forecast"] == nothing
    large = run("plan", "num_inference_steps=2", "num_images=8", "batch_size=8")["forecast"]
    assert large["peak_memory_bytes"] is None and large["wall_s"] > one["wall_s"]
    assert run("plan", "num_inference_steps=2", "num_threads=3")["forecast"]["wall_s"] is None
    finished = run("plan", *grid)["forecast"]
    assert finished == {"wall_s": 0.0, "peak_memory_bytes": None, "disk_bytes": 0}


def test_split_images_differ_from_exact_ones_by_no_more_than_the_tolerance(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = ("num_inference_steps=2", "num_images=4")
    exact = run("sweep", *grid)
    with monkeypatch.context() as patch:
        limit_memory(patch, 1)
        split = run("sweep", *grid, "on_out_of_memory=split", "store=split")
    pixels = [
        np.stack([images.read_png(Path(i["path"]))[0] for i in done["cells"][0]["images"]])
        for done in (exact, split)
    ]
    assert np.abs(pixels[0].astype(int) - pixels[1]).max() <= 1


RERUN = """
import sys
from turbo_lab.cli.main import main
assert main(sys.argv[1:]) == 0
print("imported:", *[m for m in ("torch", "diffusers", "mlflow") if m in sys.modules])
"""


@pytest.mark.slow
def test_finished_sweep_runs_again_without_torch_and_mlflow(model: Path) -> None:
    grid = ("num_inference_steps=1,2", "num_images=1", "timing=off", "metrics=none")
    local = ("model=local", f"model.path={model}", "num_threads=1", "resolution=64")

    def run_alone() -> tuple[list[str], str]:
        """Statuses of the cells, and what the process imported."""
        command = [sys.executable, "-c", RERUN, "sweep", "--json", *grid, *local]
        environment = os.environ | {"PYTHONPATH": str(Path(turbo_lab.__file__).parents[1])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        document, _, imported = done.stdout.rpartition("imported:")
        cells = json.loads(document)["cells"]
        assert all(cell["mlflow_run_id"] for cell in cells)
        return [cell["status"] for cell in cells], imported.strip()

    assert run_alone() == (["done", "done"], "torch diffusers mlflow")
    sheet = next(Path("turbo-lab-store").glob("sweeps/*/sheet.png"))
    drawn = sheet.stat().st_mtime_ns
    assert run_alone() == (["reused", "reused"], "")
    assert sheet.stat().st_mtime_ns == drawn
    # Where the database is gone, it is made again.
    Path("mlflow.db").unlink()
    statuses, imported = run_alone()
    assert statuses == ["reused", "reused"] and "mlflow" in imported
    assert Path("mlflow.db").exists()
