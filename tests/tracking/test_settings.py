"""Place of a projection: the database behind an address, its login, and what is left unsaid."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.report.results import sweep_result, with_metric
from turbo_lab.planning.options import NOT_TRACKED, TrackingOptions
from turbo_lab.tracking.settings import TrackingSettings

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


def at(uri: str) -> TrackingSettings:
    return TrackingSettings(uri, None, "all")


def test_options_lead_to_a_server_or_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert TrackingSettings.from_options(NOT_TRACKED) is None
    local = TrackingSettings.from_options(TrackingOptions("local", None, "sheet", 7))
    assert local == TrackingSettings.local(tmp_path, "sheet", 7)
    assert (local.artifacts, local.database) == (tmp_path / "mlartifacts", tmp_path / "mlflow.db")
    server = TrackingSettings.from_options(TrackingOptions("server", "http://h:5", "none", 7))
    assert server == TrackingSettings("http://h:5", None, "none", 7)
    assert server is not None and server.database is None
    named = TrackingSettings.from_options(
        TrackingOptions("local", None, "all", 7, experiment="mine")
    )
    assert named is not None and named.experiment == "mine"
    assert named.place_digest != local.place_digest != server.place_digest


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("sqlite:////folder/mlflow.db", "/folder/mlflow.db"),
        ("sqlite:////folder/with%20space/a.db", "/folder/with space/a.db"),
        ("sqlite+pysqlite:////folder/a.db?timeout=5", "/folder/a.db"),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:a.db?uri=true", None),
        ("sqlite://", None),
        ("postgresql://me:secret@host/mlflow", None),
        ("http://host/sqlite:///a.db", None),
    ],
)
def test_only_the_address_of_an_sqlite_file_has_a_database(uri: str, database: str | None) -> None:
    assert at(uri).database == (None if database is None else Path(database))


@given(WORDS, WORDS)
@example("me", "p@s:s/w?o#rd%")
def test_a_login_is_read_from_the_address_and_taken_out_of_it(user: str, password: str) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    settings = at(f"https://{login}host:5000/mlflow?a=1")
    assert settings.login == (user, password)
    assert settings.client_uri == settings.public_uri == "https://host:5000/mlflow?a=1"
    assert login not in repr(settings)


@pytest.mark.parametrize(
    "uri",
    ["http://host", "http://me@host", "http://:secret@host", "postgresql://me:secret@host/db"],
)
def test_without_user_and_password_of_an_http_server_there_is_no_login(uri: str) -> None:
    assert at(uri).login is None
    assert at(uri).client_uri == uri
    assert "secret" not in at(uri).public_uri


def test_a_mark_follows_the_content_the_place_and_the_file(tmp_path: Path) -> None:
    settings, sweep = TrackingSettings.local(tmp_path, "all"), sweep_result(tmp_path)
    assert settings.mark(sweep) is None, "there is no database yet"
    (tmp_path / "mlflow.db").touch()
    mark = settings.mark(sweep)
    assert mark is not None and mark == settings.mark(sweep)
    assert mark != TrackingSettings.local(tmp_path, "none").mark(sweep)
    changed = sweep.__class__(
        **vars(sweep) | {"cells": (with_metric(sweep.cells[0], "clip_score", value=0.5),)}
    )
    assert mark != settings.mark(changed)
    (tmp_path / "mlflow.db").rename(tmp_path / "old.db")  # its inode stays in use
    (tmp_path / "mlflow.db").touch()
    assert mark != settings.mark(sweep), "a new file is another database"


def test_a_mark_of_a_server_does_not_hold_its_password() -> None:
    mark = at("http://me:secret@host").mark(sweep_result(None))
    assert mark is not None and mark["uri"] == "http://host" and "inode" not in mark
