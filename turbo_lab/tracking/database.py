"""SQLite file of a local MLflow: how it is created, repaired and moved.

MLflow creates its schema in dozens of transactions. If it is killed between two of them, it
leaves a file that no version of MLflow opens again. The file is therefore created under another
name and renamed once it is complete. A half-made file is replaced; a database with any content
is never replaced or migrated. The caller holds the lock.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from turbo_lab.errors import IncompleteError

# What SQLite keeps next to a database.
_SIDE_FILES = ("-wal", "-shm", "-journal")
_UNFINISHED = ".unfinished"
# Tables that MLflow fills while it creates its schema; the last step adds an experiment.
_BOOKKEEPING = ("alembic_version", "workspaces")

_RELOCATE = (
    """
    UPDATE experiments SET artifact_location = :new || substr(artifact_location, :end)
    WHERE artifact_location = :old OR substr(artifact_location, 1, :end) = :folder
    """,
    """
    UPDATE runs SET artifact_uri = :new || substr(artifact_uri, :end)
    WHERE artifact_uri = :old OR substr(artifact_uri, 1, :end) = :folder
    """,
    """
    UPDATE logged_models SET artifact_location = :new || substr(artifact_location, :end)
    WHERE artifact_location = :old OR substr(artifact_location, 1, :end) = :folder
    """,
)


def ensure(path: Path, uri: str, artifacts: Path | None) -> None:
    """Create the database, unless it exists with the complete schema of this MLflow.

    ``artifacts``: folder for the artifacts of its default experiment; ``None``: MLflow's own.
    Raises ``IncompleteError`` for a file that this MLflow cannot use.
    """
    if path.exists() and not _is_half_made(path):
        _check_schema(path, uri)
        return
    _make(path, artifacts)
    _reconnect(uri)


def relocate(path: Path, experiment: str, artifacts: Path) -> None:
    """Point the artifacts of a project that was moved or copied to its own folder.

    MLflow stores their place as an absolute address, so that a copy would write into the
    original. A place that a user chose is kept. A place of ours has the same name, and the
    project's database next to it unless the folder no longer exists.
    """
    new = artifacts.as_uri()
    with _read(path) as connection, connection:
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        row = connection.execute(query, (experiment,)).fetchone()
        old = "" if row is None else str(row[0])
        if old == new or not _is_of_a_project(old, path.name, artifacts.name):
            return
        places = {"old": old, "new": new, "folder": f"{old}/", "end": len(old) + 1}
        for statement in _RELOCATE:
            connection.execute(statement, places)


def _is_of_a_project(location: str, database: str, artifacts: str) -> bool:
    """Return whether a place of artifacts is the default of a project in any folder."""
    if not location.startswith("file:"):
        return False
    folder = Path(url2pathname(urlsplit(location).path))
    return folder.name == artifacts and (not folder.exists() or folder.with_name(database).exists())


def sqlite_uri(path: Path) -> str:
    """Return the SQLAlchemy address of a file.

    SQLAlchemy decodes ``%``. MLflow does not, and makes the folder of the undecoded path
    for an address that begins with ``sqlite:///``; naming the driver avoids that.
    """
    quoted = str(path).replace("%", "%25").replace("?", "%3F")
    return f"{'sqlite' if quoted == str(path) else 'sqlite+pysqlite'}:///{quoted}"


def _is_half_made(path: Path) -> bool:
    """Return whether a killed first start left the file, so that no table has a row."""
    with _read(path) as connection:
        return not any(
            connection.execute(f"SELECT 1 FROM {_quoted(name)} LIMIT 1").fetchone()
            for name in _tables(connection) - {*_BOOKKEEPING}
        )


def _check_schema(path: Path, uri: str) -> None:
    """Refuse a database of another MLflow version, which MLflow would migrate without asking."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    with _read(path) as connection:
        rows: list[tuple[str]] = []
        if "alembic_version" in _tables(connection):
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    found, expected = [row[0] for row in rows], _get_latest_schema_revision()
    if found != [expected]:
        raise IncompleteError(
            f"{path}: its schema is {' '.join(found) or 'unknown'} and this MLflow needs "
            f"{expected}; copy the file, then run `mlflow db upgrade {shlex.quote(uri)}`, or "
            "install the MLflow that made it, or move the file away"
        )


def _make(path: Path, artifacts: Path | None) -> None:
    """Create the schema in another file, then rename that into place."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    aside = path.with_name(path.name + _UNFINISHED)
    _remove(aside)
    try:
        root = artifacts or Path.cwd() / "mlruns"
        store = SqlAlchemyStore(sqlite_uri(aside), root.as_uri())
        store.engine.dispose()
        _settle(aside)
        # A write-ahead log of a deleted database would be replayed into the new one.
        _remove(path)
        aside.replace(path)
    finally:
        _remove(aside)


def _settle(path: Path) -> None:
    """Write a finished database to disk, without a log file next to it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reconnect(uri: str) -> None:
    """Close this process's connections to the previous file."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = SqlAlchemyStore._engine_map.get(uri)
    if engine is not None:
        engine.dispose()


def _remove(path: Path) -> None:
    for suffix in ("", *_SIDE_FILES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection to read. Raises ``IncompleteError`` for a file that cannot be read."""
    try:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise IncompleteError(
            f"{path}: cannot be read as an SQLite database ({error}); move it away or mend it"
        ) from error


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows if not name.startswith("sqlite_")}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def listen() -> None:
    """Set the journal mode of every SQLite database that SQLAlchemy opens from now on.

    With a write-ahead log, the nine commits of MLflow per run need no sync each. A power cut may
    lose the last runs but not the file; ``turbo-lab sync`` projects them again.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "connect", _on_connect):
        event.listen(Engine, "connect", _on_connect)


def _on_connect(connection: Any, record: object) -> None:
    if not type(connection).__module__.startswith("sqlite3"):
        return
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    # Nobody reads an unfinished file: it needs neither syncs nor a log.
    is_unfinished = path.endswith(_UNFINISHED)
    connection.execute(f"PRAGMA journal_mode={'MEMORY' if is_unfinished else 'WAL'}")
    connection.execute(f"PRAGMA synchronous={'OFF' if is_unfinished else 'NORMAL'}")
