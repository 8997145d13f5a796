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
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings
from turbo_lab.tracking.runs import Runs, SweepHead


def project(folder: Path, sweep_id: str, chosen: str | None = None) -> dict[str, str]:
    """Project a sweep of the project in ``folder``; ``chosen``: another place of artifacts."""
    sweep = replace(sweep_result(folder), sweep_id=sweep_id)
    settings = replace(TrackingSettings.local(folder, "none"), chosen=chosen)
    return Tracker(settings).project(sweep, None)


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
        assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["record.json"] * is_cell
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
