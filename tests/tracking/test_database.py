"""The birth of a local MLflow database: killed, starved, crowded, and what is left alone."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.report.results import sweep_result
from turbo_lab.errors import IncompleteError
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings

ROOT = Path(__file__).parents[2]


def opened(folder: Path, *names: str) -> tuple[dict[str, list[int]], str]:
    """Exit codes of first openings in processes of their own, and what they said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tracking.opening", folder, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def count_runs(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def check_openings(folder: Path, *names: str) -> None:
    """Every opening that was stopped is followed by one that works."""
    codes, said = opened(folder, *names)
    starved = [name for name in names if "full" in name]
    wanted = {name: [3 if name in starved else -signal.SIGKILL, 0] for name in names}
    assert codes == wanted | {"four": [0, 0, 0, 0]}, said
    # A full disk is a tracking failure like any other.
    assert said.count("run `turbo-lab sync`") == len(starved)
    assert list(folder.glob("*/*.unfinished*")) == []
    for name in codes:
        with closing(sqlite3.connect(folder / name / "mlflow.db")) as connection:
            names_made = connection.execute("SELECT name FROM experiments").fetchall()
            assert sorted(names_made) == [("Default",), (EXPERIMENT,)]
        assert count_runs(folder / name) == 5


def test_first_opening_that_is_stopped_breaks_nothing(tmp_path: Path) -> None:
    """Killed midway, by us and by an earlier version; out of disk; and four at once."""
    check_openings(tmp_path, "ours 300", "mlflow 60", "full 300000")


@pytest.mark.slow
def test_first_opening_may_be_stopped_anywhere(tmp_path: Path) -> None:
    check_openings(
        tmp_path,
        *(f"{who} {number}" for who in ("ours", "mlflow") for number in (1, 2, 60, 150, 300)),
        "ours at the rename",
        "full 512",
        "full 4096",
        "full 300000",
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with one projected sweep."""
    Tracker(TrackingSettings.local(tmp_path, "none")).project(sweep_result(tmp_path))
    return tmp_path


def change(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE alembic_version SET version_num = '0123456789ab'", "schema is 0123456789ab"),
        ("DELETE FROM alembic_version", "schema is unknown"),
        ("DROP TABLE alembic_version", "schema is unknown"),
    ],
)
def test_database_of_another_mlflow_is_left_alone(made: Path, statement: str, found: str) -> None:
    change(made, statement)
    with pytest.raises(IncompleteError, match=f"{found} .* run `mlflow db upgrade sqlite:///"):
        Tracker(TrackingSettings.local(made, "none")).project(sweep_result(made))
    assert count_runs(made) == 5


def test_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_text("my own notes\n" * 100)
    with pytest.raises(IncompleteError, match=r"mlflow\.db: cannot be read as an SQLite database"):
        Tracker(TrackingSettings.local(tmp_path, "none")).project(sweep_result(tmp_path))
    assert file.read_text().startswith("my own notes")


def test_log_of_a_deleted_database_is_not_replayed_into_the_next(tmp_path: Path) -> None:
    """A kill leaves ``mlflow.db-wal``; deleting ``mlflow.db`` alone must not revive its pages."""
    Tracker(TrackingSettings.local(tmp_path, "none")).project(sweep_result(tmp_path))
    database = tmp_path / "mlflow.db"
    log = (tmp_path / "mlflow.db-wal").read_bytes()
    assert log
    database.unlink()
    (tmp_path / "mlflow.db-wal").write_bytes(log)
    Tracker(TrackingSettings.local(tmp_path, "none")).project(sweep_result(tmp_path))
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (5,)


def test_database_by_its_address_is_born_in_the_same_way(tmp_path: Path) -> None:
    """``tracking=server`` with the address of an SQLite file."""
    (tmp_path / "lab.db").touch()
    settings = TrackingSettings(f"sqlite:///{tmp_path / 'lab.db'}", None, "none")
    Tracker(settings).project(sweep_result(tmp_path))
    assert settings.database == tmp_path / "lab.db"
    with closing(sqlite3.connect(tmp_path / "lab.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (5,)


@pytest.mark.parametrize("name", ["100%", "a%20b", "why?", "no #1", "größe and space"])
def test_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    settings = TrackingSettings.local(folder, "sheet")
    assert settings.database == folder / "mlflow.db"
    Tracker(settings).project(sweep_result(folder))
    assert count_runs(folder) == 5
    assert len(list((folder / "mlartifacts").rglob("record.json"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == [name]
