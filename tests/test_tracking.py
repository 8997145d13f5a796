"""The projection into a real MLflow on sqlite: complete, once, and repairable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.documents import sweep_document
from turbo_lab.errors import IncompleteError
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings


def settings(folder: Path, images: str = "all") -> TrackingSettings:
    return TrackingSettings(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts", images)


@pytest.fixture(scope="module")
def projected(tmp_path_factory: pytest.TempPathFactory):
    """One document, projected twice, and the client to look at it."""
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    document = sweep_document(folder)
    document["cells"][0]["metrics"]["clip_score"]["value"] = float("inf")
    document["cells"][1]["parameters"]["long"] = "x" * 7000
    sheet = folder / "sheet.png"
    sheet.write_bytes(b"png")
    first = Tracker(settings(folder)).project(document, sheet)
    second = Tracker(settings(folder)).project(document, sheet)
    assert first == second
    return document, first, MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def test_replay_adds_neither_runs_nor_history(projected) -> None:
    _, ids, client = projected
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    assert len(client.search_runs([experiment])) == 5
    history = client.get_metric_history(ids["r1"], "clip_score")
    assert [point.value for point in history] == [pytest.approx(0.6)]


def test_child_has_parameters_figures_images_and_parent(projected) -> None:
    _, ids, client = projected
    run = client.get_run(ids["r1"])
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.metrics["cells_failed"] == 1
    assert run.data.params["num_inference_steps"] == "1"
    assert run.data.params["guidance_scale"] == "2"
    assert run.data.metrics["fd/nano-clip"] == 8
    assert run.data.metrics["latency_p50_s"] == pytest.approx(0.2)
    assert run.data.tags["turbo_lab.license.nano-turbo"] == "Apache-2.0"
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["demo"]
    names = [Path(f.path).name for f in client.list_artifacts(ids["r1"], "images")]
    assert names == [f"{row:04d}-p-{row}-seed{row}.png" for row in range(4)]
    assert [f.path for f in client.list_artifacts(parent.info.run_id)] == ["sheet.png"]


def test_statuses_follow_the_cells(projected) -> None:
    document, ids, client = projected
    for row in document["cells"]:
        expected = "FAILED" if row["status"] == "failed" else "FINISHED"
        assert client.get_run(ids[row["record_id"]]).info.status == expected


def test_what_mlflow_cannot_hold_is_left_out_or_marked_as_cut(projected) -> None:
    _, ids, client = projected
    assert "clip_score" not in client.get_run(ids["r0"]).data.metrics
    long = client.get_run(ids["r1"]).data.params["long"]
    assert len(long) == 6000 and long.endswith("…")


def test_ghost_of_a_killed_projection_is_completed(projected) -> None:
    document, ids, client = projected
    client.update_run(ids["r3"], status="RUNNING")
    database = client.tracking_uri.removeprefix("sqlite:///")
    again = Tracker(settings(Path(database).parent)).project(document, None)
    assert again == ids
    assert client.get_run(ids["r3"]).info.status == "FINISHED"
    assert len(client.get_metric_history(ids["r3"], "clip_score")) == 1


def test_absent_server_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nowhere = TrackingSettings("http://127.0.0.1:9", None, "all")
    with pytest.raises(IncompleteError, match="run `turbo-lab sync` once it is back"):
        Tracker(nowhere).project(sweep_document(None), None)
