"""Pipelines as logged models: one of each, with one value per metric and data set."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.report.results import cell_result, sweep_result, with_cell
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings
from turbo_lab.tracking.models import pipeline_name


def models_of(folder: Path):
    client = MlflowClient(TrackingSettings.local(folder, "none").uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    return client, list(client.search_logged_models([experiment], max_results=50))


def project(sweep, folder: Path) -> dict[str, str]:
    return Tracker(TrackingSettings.local(folder, "none")).project(sweep)


@pytest.fixture
def projected(tmp_path: Path):
    """One sweep, projected twice."""
    sweep = sweep_result(tmp_path)
    ids = project(sweep, tmp_path)
    assert project(sweep, tmp_path) == ids
    return sweep, ids


def test_each_pipeline_is_one_model_with_its_values(projected, tmp_path: Path) -> None:
    _, ids = projected
    client, found = models_of(tmp_path)
    names = ["nano-turbo, 1 step, cfg 0", "nano-turbo, 1 step, cfg 2", "nano-turbo, 2 steps, cfg 2"]
    tail = ", batch 4, 64x64"
    assert sorted(model.name for model in found) == [name + tail for name in names]
    for model in found:
        assert model.status == "READY" and model.model_type == "text-to-image"
        keys = [(one.key, one.dataset_name) for one in model.metrics]
        assert len(keys) == len(set(keys)) == 5
        assert {one.dataset_name for one in model.metrics} == {"demo x4"}
        assert model.params["scheduler"] == "EulerDiscreteScheduler"
        assert model.params["sha256 nano-turbo"] == "d" * 64
        assert "seed" not in model.params
        run = client.get_run(model.source_run_id)
        assert [one.model_id for one in run.inputs.model_inputs] == [model.model_id]
        scores = {one.key: one.value for one in model.metrics}
        assert scores["clip_score"] == run.data.metrics["clip_score"]
    failed = client.get_run(ids["a2"])
    assert failed.inputs.model_inputs == []
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    best = client.search_logged_models(
        [experiment],
        order_by=[
            {
                "field_name": "metrics.clip_score",
                "ascending": False,
                "dataset_name": "demo x4",
                "dataset_digest": found[0].metrics[0].dataset_digest,
            }
        ],
    )
    assert best[0].name.startswith("nano-turbo, 2 steps, cfg 2")


def test_another_sweep_uses_the_same_models(projected, tmp_path: Path) -> None:
    sweep, ids = projected
    _, before = models_of(tmp_path)
    others = project(replace(sweep, sweep_id="def"), tmp_path)
    client, after = models_of(tmp_path)
    assert {m.model_id: len(m.metrics) for m in after} == {m.model_id: 5 for m in before}
    model_id = client.get_run(ids["a1"]).inputs.model_inputs[0].model_id
    assert client.get_run(others["a1"]).inputs.model_inputs[0].model_id == model_id


def test_other_images_are_another_data_set_of_the_same_model(projected, tmp_path: Path) -> None:
    sweep, _ = projected
    cells = tuple(replace(cell, images=cell.images[:2]) for cell in sweep.cells)
    project(replace(sweep, sweep_id="def", cells=cells), tmp_path)
    _, found = models_of(tmp_path)
    assert len(found) == 3
    for model in found:
        assert len(model.metrics) == 10
        assert {one.dataset_name for one in model.metrics} == {"demo x4", "demo x2"}


def test_a_run_of_an_earlier_version_gets_its_model(projected, tmp_path: Path) -> None:
    """Its metrics are there already, and are not logged again."""
    sweep, ids = projected
    client, found = models_of(tmp_path)
    for model in found:
        client.delete_logged_model(model.model_id)
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM inputs WHERE destination_type = 'MODEL_INPUT'")
        connection.execute("DELETE FROM tags WHERE key = 'turbo_lab.model_id'")
    assert project(sweep, tmp_path) == ids
    client, again = models_of(tmp_path)
    assert len(again) == 3 and all(len(model.metrics) == 5 for model in again)
    assert len(client.get_metric_history(ids["a1"], "clip_score")) == 1


def test_a_pipeline_is_named_by_what_is_unusual() -> None:
    cell = cell_result(0, {}, None)
    usual = replace(cell.parameters, batch_size=16, pipeline="stock")
    assert pipeline_name(replace(cell, parameters=usual)) == "nano-turbo, 1 step, cfg 0, 64x64"
    styled = replace(usual, lora="flat@0.8", dtype="bfloat16", pipeline="fast", batch_size=4)
    assert pipeline_name(replace(cell, parameters=styled)) == (
        "nano-turbo, 1 step, cfg 0, flat@0·8, bfloat16, pipeline=fast, batch 4, 64x64"
    )


def test_a_model_that_a_person_deleted_is_made_again_for_new_values(
    projected, tmp_path: Path
) -> None:
    sweep, ids = projected
    client, found = models_of(tmp_path)
    for model in found:
        client.delete_logged_model(model.model_id)
    assert project(sweep, tmp_path) == ids
    assert models_of(tmp_path)[1] == [], "nothing is new"
    more = replace(sweep.cells[1].metrics["clip_score"], value=0.25)
    project(
        with_cell(sweep, 1, metrics={**sweep.cells[1].metrics, "kid": more}),
        tmp_path,
    )
    [again] = models_of(tmp_path)[1]
    assert {one.key for one in again.metrics} >= {"kid", "clip_score", "latency_p50_s"}
    assert client.get_run(ids["a1"]).data.tags["turbo_lab.model_id"] == again.model_id
