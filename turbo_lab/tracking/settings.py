"""Place and extent of a projection, and how long a sweep waits for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from turbo_lab.documents.sweep import SweepResult
from turbo_lab.identity import digest
from turbo_lab.planning.options import DEFAULT_EXPERIMENT, DEFAULT_TIMEOUT_S, TrackingOptions
from turbo_lab.tracking.database import sqlite_uri
from turbo_lab.tracking.projection import content_digest
from turbo_lab.untrusted.redaction import redact

DATABASE = "mlflow.db"
"""File of a project's own MLflow, in the working directory."""
# A later version projects more: sweeps of an earlier one are projected again.
_VERSION = 2


@dataclass(frozen=True)
class TrackingSettings:
    """Place and extent of a projection."""

    uri: str = field(repr=False)
    """``sqlite:///`` of a local file, or the address of a server; may hold a password."""
    artifacts: Path | None
    """Folder of a local database's artifacts; ``None``: the server's own."""
    images: str
    """``all``, ``sheet`` or ``none``."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Longest time that a sweep waits for its projection, in seconds."""
    chosen: str | None = None
    """Folder or address that the user names for artifacts, next to the default; ``None``: none."""
    experiment: str = DEFAULT_EXPERIMENT
    """Name of MLflow's experiment."""

    @classmethod
    def from_options(cls, options: TrackingOptions) -> TrackingSettings | None:
        """Return the settings for a sweep's options; ``None`` if it is not tracked."""
        if options.kind == "none":
            return None
        if options.uri is not None:
            return cls(
                options.uri,
                None,
                options.images,
                options.timeout_s,
                options.artifacts,
                options.experiment,
            )
        local = cls.local(Path.cwd(), options.images, options.timeout_s)
        return replace(local, chosen=options.artifacts, experiment=options.experiment)

    @classmethod
    def local(
        cls, folder: Path, images: str, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> TrackingSettings:
        """Return the settings for ``mlflow.db`` and ``mlartifacts`` in a folder."""
        uri = sqlite_uri(folder / DATABASE)
        return cls(uri, folder / "mlartifacts", images, timeout_s)

    @property
    def public_uri(self) -> str:
        """Address without credentials, which may be written and printed."""
        return redact(self.uri)

    @property
    def place_digest(self) -> str:
        """Digest of the place: its address without credentials, and the experiment."""
        if self.experiment == DEFAULT_EXPERIMENT:  # as earlier versions have it
            return digest(self.public_uri)
        return digest([self.public_uri, self.experiment])

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password in the address of an HTTP server."""
        parts = urlsplit(self.uri)
        if parts.scheme not in ("http", "https") or not parts.username or not parts.password:
            return None
        return unquote(parts.username), unquote(parts.password)

    @property
    def client_uri(self) -> str:
        """Address for MLflow without :attr:`login`, because MLflow quotes it in errors."""
        if self.login is None:
            return self.uri
        parts = urlsplit(self.uri)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def database(self) -> Path | None:
        """SQLite file; ``None`` for a server or another kind of database."""
        found = re.match(r"sqlite(?:\+\w+)?:///(?!file:|:memory:)([^?]+)", self.uri)
        return None if found is None else Path(unquote(found[1])).resolve()

    def mark(self, sweep: SweepResult) -> dict[str, object] | None:
        """Return what a projection of a sweep would leave behind, by content and place.

        Equal marks mean that there is nothing to project. ``None``: there is no local database.
        """
        place: dict[str, object] = {"uri": self.public_uri, "images": self.images}
        place |= {"version": _VERSION, "experiment": self.experiment}
        if self.database is not None:
            if not self.database.exists():
                return None
            place["inode"] = self.database.stat().st_ino  # a new file is another database
        return {**place, "content": content_digest(sweep)}
