"""Places of artifacts that a server or a database names: accepted, or refused with the remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.report.results import sweep_result
from tests.tracking.servers import Lying, serving
from turbo_lab.errors import IncompleteError
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings
from turbo_lab.tracking.artifacts import upload

PRECIOUS = "precious"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files to upload."""
    folder = tmp_path / "files"
    (folder / "images").mkdir(parents=True)
    (folder / "record.json").write_text("ours")
    (folder / "images" / "a.png").write_text("ours")
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder that has nothing to do with the project."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "record.json").write_text(PRECIOUS)
    return folder


def of_server(chosen: str | None = None) -> TrackingSettings:
    return TrackingSettings("http://127.0.0.1:9", None, "all", chosen=chosen)


@pytest.mark.parametrize(
    "address",
    ["{}", "file:{}", "file://{}", "FILE://{}", "file://{}/../victim", "runs:/1/{}", "models:/a/1"],
)
def test_a_server_cannot_name_a_folder_of_this_machine(
    files: Path, victim: Path, address: str
) -> None:
    uri = address.format(victim)
    with pytest.raises(IncompleteError, match=r"which you did not name.*set tracking\.artifacts"):
        upload(files, uri, of_server())
    assert [path.name for path in victim.iterdir()] == ["record.json"]
    assert (victim / "record.json").read_text() == PRECIOUS


def test_a_server_that_lies_writes_nothing_here(tmp_path: Path, victim: Path) -> None:
    with serving(Lying) as server:
        server.artifact_uri = victim.as_uri()
        tracker = Tracker(TrackingSettings(f"http://{server.address}", None, "all"))
        with pytest.raises(IncompleteError, match="names 'file://.*victim' as the place"):
            tracker.project(sweep_result(tmp_path))
    assert (victim / "record.json").read_text() == PRECIOUS
    assert len(list(victim.iterdir())) == 1


@pytest.mark.parametrize("is_address", [False, True])
def test_a_folder_that_is_named_is_written_to(
    files: Path, tmp_path: Path, is_address: bool
) -> None:
    place = tmp_path / "disk"
    chosen = place.as_uri() if is_address else str(place)
    upload(files, f"{place.as_uri()}/1/artifacts", of_server(chosen))
    assert (place / "1" / "artifacts" / "images" / "a.png").read_text() == "ours"
    with pytest.raises(IncompleteError, match="did not name"):
        upload(files, f"{place.as_uri()}2", of_server(chosen))
    assert not (tmp_path / "disk2").exists()


def test_a_database_keeps_its_files_next_to_it(files: Path, tmp_path: Path, victim: Path) -> None:
    local = TrackingSettings.local(tmp_path, "all")
    upload(files, (tmp_path / "mlartifacts" / "1").as_uri(), local)
    assert (tmp_path / "mlartifacts" / "1" / "record.json").read_text() == "ours"
    named = TrackingSettings(f"sqlite:///{tmp_path}/central.db", None, "all")
    upload(files, (tmp_path / "roots" / "1").as_uri(), named)
    for settings, uri in (
        (local, victim.as_uri()),
        (local, "s3://bucket/x"),
        (local, (tmp_path / "mlartifacts" / ".." / "victim").as_uri()),
        (named, "s3://bucket/x"),
        (named, "file:///nowhere"),
    ):
        with pytest.raises(IncompleteError, match="did not name"):
            upload(files, uri, settings)
    assert (victim / "record.json").read_text() == PRECIOUS


@pytest.mark.parametrize("link", ["mlartifacts", "mlartifacts/1", "mlartifacts/1/record.json"])
def test_nothing_is_written_through_a_link_of_a_project(
    files: Path, tmp_path: Path, victim: Path, link: str
) -> None:
    path = tmp_path / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(victim / "record.json" if link.endswith(".json") else victim)
    with pytest.raises(IncompleteError, match="did not name|is a symbolic link"):
        upload(
            files, (tmp_path / "mlartifacts" / "1").as_uri(), TrackingSettings.local(tmp_path, "")
        )
    assert [path.name for path in victim.iterdir()] == ["record.json"]
    assert (victim / "record.json").read_text() == PRECIOUS


def test_a_database_that_came_with_a_project_cannot_name_a_folder(
    tmp_path: Path, victim: Path
) -> None:
    settings = TrackingSettings.local(tmp_path, "none")
    sweep = sweep_result(tmp_path)
    Tracker(settings).project(replace(sweep, sweep_id="first", cells=()))
    client = MlflowClient(settings.uri)
    client.rename_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id, "other")
    client.create_experiment(EXPERIMENT, victim.as_uri())
    with pytest.raises(IncompleteError, match="did not name"):
        Tracker(settings).project(sweep)
    assert len(list(victim.iterdir())) == 1
    Tracker(replace(settings, chosen=str(victim))).project(sweep)
    assert len(list(victim.rglob("record.json"))) > 1
