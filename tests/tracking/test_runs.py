"""Projects that were moved or copied, and experiments that were deleted."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.report.results import sweep_result
from turbo_lab.errors import IncompleteError, InputError
from turbo_lab.tracking import EXPERIMENT, Attachments, Tracker, TrackingSettings
from turbo_lab.tracking.evaluation import TABLE
from turbo_lab.tracking.runs import Runs, SweepHead


def project(folder: Path, sweep_id: str, chosen: str | None = None) -> dict[str, str]:
    """Project a sweep of the project in ``folder``; ``chosen``: another place of artifacts."""
    sweep = replace(sweep_result(folder), sweep_id=sweep_id)
    settings = replace(TrackingSettings.local(folder, "none"), chosen=chosen)
    return Tracker(settings).project(sweep)


def num_records(folder: Path) -> int:
    """Number of records among the artifacts of a project."""
    return len(list((folder / "mlartifacts").rglob("record.json")))


@pytest.fixture
def original(tmp_path: Path) -> Path:
    folder = tmp_path / "a #1"
    folder.mkdir()
    project(folder, "one")
    assert num_records(folder) == 4
    return folder


@pytest.mark.parametrize("bring", [shutil.copytree, shutil.move])
def test_project_elsewhere_keeps_its_artifacts_with_it(original: Path, bring) -> None:
    there = original.with_name("b")
    bring(original, there)
    ids = project(there, "two")
    assert num_records(there) == 8
    assert not original.exists() or num_records(original) == 4
    client = MlflowClient(TrackingSettings.local(there, "none").uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment.artifact_location == (there / "mlartifacts").as_uri()
    # Runs from before the move show their files as well.
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 10
    for run in runs:
        root = f"{experiment.artifact_location}/{run.info.run_id}/artifacts"
        assert run.info.artifact_uri == root
        is_cell = "turbo_lab.record_id" in run.data.tags
        files = {f.path for f in client.list_artifacts(run.info.run_id)}
        assert ("record.json" in files) == is_cell and files <= {"record.json", TABLE}
    assert ids["a0"] in {run.info.run_id for run in runs}


def test_chosen_place_of_artifacts_is_kept(original: Path, tmp_path: Path) -> None:
    client = MlflowClient(TrackingSettings.local(original, "none").uri)
    old = client.get_experiment_by_name(EXPERIMENT).experiment_id
    client.rename_experiment(old, "renamed")
    chosen = tmp_path / "disk" / "mlartifacts"
    chosen.mkdir(parents=True)
    client.create_experiment(EXPERIMENT, chosen.as_uri())
    with pytest.raises(IncompleteError, match=r"set tracking\.artifacts to it"):
        project(original, "two")
    project(original, "two", str(chosen.parent))
    assert num_records(original) == num_records(chosen.parent) == 4


def test_deleted_experiment_says_how_to_restore_it(original: Path) -> None:
    settings = TrackingSettings.local(original, "none")
    client = MlflowClient(settings.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    client.delete_experiment(experiment)
    restore = f"mlflow experiments restore --experiment-id {experiment}`, then `turbo-lab sync`"
    with pytest.raises(IncompleteError, match=restore):
        project(original, "two")
    client.restore_experiment(experiment)
    project(original, "two")
    assert len(client.search_runs([experiment])) == 10


def test_looking_for_a_run_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no MLflow database .*mlflow\.db; run this in"):
        Tracker(TrackingSettings.local(tmp_path, "none")).record_of("0" * 32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_run_that_cannot_be_closed_is_noted_on_the_first_error(
    tmp_path: Path, is_deleted: bool
) -> None:
    settings = TrackingSettings.local(tmp_path, "none")
    runs, first = Runs(settings), ValueError("first")
    run_id = runs.begin(SweepHead.of(sweep_result(tmp_path)))
    client = MlflowClient(settings.uri)
    if is_deleted:
        client.delete_run(run_id)
    runs.abandon_after(first)
    notes = getattr(first, "__notes__", [])
    if is_deleted:
        assert len(notes) == 1
        assert notes[0].startswith("MLflow still shows runs as RUNNING (MlflowException:")
    else:
        assert notes == [] and client.get_run(run_id).info.status == "KILLED"


@pytest.mark.parametrize("name", [".mlflow.lock", "mlflow.db"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_files_of_a_project_are_not_links_or_pipes(tmp_path: Path, name: str, kind: str) -> None:
    """A folder that somebody packed could have a file elsewhere cut to nothing, or made."""
    project_folder, target = tmp_path / "project", tmp_path / "precious"
    project_folder.mkdir()
    if kind == "pipe":
        os.mkfifo(project_folder / name)
    else:
        (project_folder / name).symlink_to(target)
        if kind == "link":
            target.write_text("precious")
    with pytest.raises(IncompleteError, match=f"{name}: is a (symbolic link|named pipe)"):
        project(project_folder, "one")
    assert target.exists() == (kind == "link")
    assert kind != "link" or target.read_text() == "precious"


def test_runs_go_to_the_experiment_that_is_named(tmp_path: Path) -> None:
    settings = replace(TrackingSettings.local(tmp_path, "none"), experiment="nightly")
    Tracker(settings).project(sweep_result(tmp_path))
    client = MlflowClient(settings.uri)
    assert client.get_experiment_by_name(EXPERIMENT) is None
    found = client.get_experiment_by_name("nightly")
    assert len(client.search_runs([found.experiment_id])) == 5
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"
    assert found.tags["mlflow.experiment.primaryMetric.name"] == "clip_score"


def attached(text: str) -> Attachments:
    """Return a page, a description and a best cell."""
    return Attachments(
        page=lambda: f"<p>{text}</p>",
        describe=lambda links: f"{text}: {links['a1']}",
        best={"clip_score": "2 steps, cfg 2"},
    )


def test_a_sweep_has_its_report_its_best_cell_and_its_description(tmp_path: Path) -> None:
    settings, sweep = TrackingSettings.local(tmp_path, "none"), sweep_result(tmp_path)
    ids = Tracker(settings).project(sweep, attached("first"))
    client = MlflowClient(settings.uri)
    parent_id = client.get_run(ids["a1"]).data.tags["mlflow.parentRunId"]
    page = Path(client.download_artifacts(parent_id, "report.html", str(tmp_path)))
    assert page.read_text() == "<p>first</p>"
    tags = client.get_run(parent_id).data.tags
    assert tags["turbo_lab.best.clip_score"] == "2 steps, cfg 2"
    experiment = client.get_run(parent_id).info.experiment_id
    link = f"#/experiments/{experiment}/runs/{ids['a1']}"
    assert tags["mlflow.note.content"] == f"first: {link}"
    Tracker(settings).project(sweep, attached("second"))
    assert client.get_run(parent_id).data.tags["mlflow.note.content"] == f"second: {link}"
    client.set_tag(parent_id, "mlflow.note.content", "mine")
    Tracker(settings).project(sweep, attached("third"))
    assert client.get_run(parent_id).data.tags["mlflow.note.content"] == "mine"


def test_a_page_is_not_drawn_again_without_news(tmp_path: Path) -> None:
    settings, sweep = TrackingSettings.local(tmp_path, "none"), sweep_result(tmp_path)
    drawn = []

    def page() -> str:
        drawn.append(1)
        return "page"

    for _ in range(3):
        Tracker(settings).project(sweep, Attachments(page=page))
    assert len(drawn) == 1
