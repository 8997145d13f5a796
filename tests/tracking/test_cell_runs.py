"""Content of the run of a cell: complete, once, and as long as its cell took."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mlflow.tracking import MlflowClient

from tests.report.results import TIMING, sweep_result, with_cell, with_metric
from turbo_lab.tracking import Tracker, TrackingSettings
from turbo_lab.tracking.evaluation import TABLE


def project(sweep, folder: Path, images: str = "all") -> dict[str, str]:
    return Tracker(TrackingSettings.local(folder, images)).project(sweep)


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(TrackingSettings.local(folder, "all").uri)


def test_a_run_lasts_as_long_as_its_cell_and_later_timings_count(tmp_path: Path) -> None:
    sweep = with_cell(sweep_result(tmp_path), 0, drawn_at=1_700_000_000.0, drawn_s=2.5, timing=None)
    ids = project(sweep, tmp_path, "none")
    info = client_of(tmp_path).get_run(ids["a0"]).info
    assert (info.start_time, info.end_time) == (1_700_000_000_000, 1_700_000_002_500)
    timed = with_cell(sweep, 0, timing=replace(TIMING, timed_s=4.0))
    assert project(timed, tmp_path, "none") == ids
    info = client_of(tmp_path).get_run(ids["a0"]).info
    assert (info.status, info.end_time) == ("FINISHED", 1_700_000_006_500)


def test_the_table_follows_the_images(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    ids = project(sweep, tmp_path, "none")
    client, run_id = client_of(tmp_path), ids["a0"]

    def columns() -> list[str]:
        path = client.download_artifacts(run_id, TABLE, str(tmp_path))
        found: list[str] = json.loads(Path(path).read_text())["columns"]
        return found

    assert columns() == ["image", "prompt", "seed", "pixel_sha256"]
    [table] = json.loads(client.get_run(run_id).data.tags["mlflow.loggedArtifacts"])
    assert table == {"path": TABLE, "type": "table"}
    assert project(sweep, tmp_path) == ids
    assert columns() == ["image", "output", "prompt", "seed", "pixel_sha256"]
    assert project(sweep, tmp_path, "none") == ids
    assert columns() == ["image", "output", "prompt", "seed", "pixel_sha256"], (
        "the images are still there"
    )


def test_an_interval_that_changed_replaces_its_tag(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    ids = project(sweep, tmp_path, "none")
    tags = client_of(tmp_path).get_run(ids["a0"]).data.tags
    assert tags["turbo_lab.ci95.clip_score"] == "0.4 to 0.6"
    closer = with_metric(sweep.cells[0], "clip_score", ci95=(0.45, 0.55))
    project(replace(sweep, cells=(closer, *sweep.cells[1:])), tmp_path, "none")
    tags = client_of(tmp_path).get_run(ids["a0"]).data.tags
    assert tags["turbo_lab.ci95.clip_score"] == "0.45 to 0.55"
