"""Upload of a run's files to the place that MLflow names for them.

Owns which places are accepted. A server, or a database that came with a folder, may name any
place, and MLflow's client would write there: also over files of the user. A folder of this machine
is therefore accepted only if it belongs to the database or is the one in ``tracking.artifacts``,
and no symbolic link in it is written through.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from turbo_lab.errors import IncompleteError
from turbo_lab.tracking.settings import TrackingSettings
from turbo_lab.untrusted.paths import refuse_links
from turbo_lab.untrusted.redaction import redact

_LOCAL = ("", "file")
# Places outside of this machine. MLflow has more schemes; ``runs`` and ``models`` lead to others.
_REMOTE = (
    "mlflow-artifacts",
    "http",
    "https",
    "s3",
    "gs",
    "wasbs",
    "abfss",
    "r2",
    "hdfs",
    "viewfs",
    "dbfs",
    "sftp",
    "ftp",
)


def upload(files: Path, uri: str, settings: TrackingSettings) -> None:
    """Upload the files in a folder to the address of a run's artifacts.

    Raises :class:`IncompleteError` for a place that the user did not name.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    scheme = urlsplit(uri).scheme
    if scheme not in _LOCAL and not _is_accepted(uri, scheme, settings):
        raise _not_named(uri, settings)
    # From the address that was checked: MLflow's client would ask the server for it again.
    place = get_artifact_repository(uri, tracking_uri=settings.client_uri)
    if scheme in _LOCAL:
        folder = Path(place.artifact_dir)
        if not any(_is_below(folder, root) for root in _folders(settings)):
            raise _not_named(uri, settings)
        for file in files.rglob("*"):
            refuse_links(folder, folder / file.relative_to(files), IncompleteError)
    place.log_artifacts(str(files))


def _is_accepted(uri: str, scheme: str, settings: TrackingSettings) -> bool:
    """Return whether files may go to another machine."""
    if (chosen := settings.chosen) is not None and f"{uri}/".startswith(f"{chosen.rstrip('/')}/"):
        return True
    return settings.database is None and scheme in _REMOTE


def _folders(settings: TrackingSettings) -> Iterator[Path]:
    """Yield the folders of this machine that artifacts may go to."""
    if (chosen := settings.chosen) is not None:
        is_address = chosen.startswith("file:")
        yield Path(url2pathname(urlsplit(chosen).path) if is_address else chosen)
    if settings.artifacts is not None:
        # One that is a link came with the project, or needs to be named.
        yield from [] if settings.artifacts.is_symlink() else [settings.artifacts]
    elif settings.database is not None:
        yield settings.database.parent
        yield Path.cwd() / "mlruns"  # where MLflow puts them by default


def _is_below(folder: Path, root: Path) -> bool:
    real, home = os.path.realpath(folder), os.path.realpath(root)
    return real == home or real.startswith(f"{home.rstrip('/')}/")


def _not_named(uri: str, settings: TrackingSettings) -> IncompleteError:
    return IncompleteError(
        f"tracking: {settings.public_uri} names {redact(uri)[:200]!a} as the place of artifacts, "
        "which you did not name; to write there, set tracking.artifacts to it or to a folder above "
        "it, and run `turbo-lab sync`"
    )
