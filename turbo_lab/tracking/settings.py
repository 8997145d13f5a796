"""Where a sweep is projected to, how much of it, and how long a sweep waits for that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from turbo_lab.errors import InputError
from turbo_lab.tracking.database import sqlite_uri
from turbo_lab.tracking.projection import content_digest


@dataclass(frozen=True)
class TrackingSettings:
    """Where to project, and how much."""

    uri: str
    """``sqlite:///`` of a local file, or the address of a server."""
    artifacts: Path | None
    """Folder of a local database's artifacts; ``None``: the server's own."""
    images: str
    """``all``, ``sheet`` or ``none``."""

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> TrackingSettings | None:
        """The ``tracking`` node; ``None`` for ``tracking=none``."""
        if values["images"] not in ("all", "sheet", "none"):
            raise InputError(f"tracking.images={values['images']}: must be all, sheet or none")
        if values["kind"] == "none":
            return None
        if values["kind"] == "server":
            return cls(str(values["uri"]), None, values["images"])
        return cls.local(Path.cwd(), values["images"])

    @classmethod
    def local(cls, folder: Path, images: str) -> TrackingSettings:
        """Return the settings for ``mlflow.db`` and ``mlartifacts`` in a folder."""
        return cls(sqlite_uri(folder / "mlflow.db"), folder / "mlartifacts", images)

    @property
    def database(self) -> Path | None:
        """The SQLite file; ``None`` for a server or another kind of database."""
        found = re.match(r"sqlite(?:\+\w+)?:///(?!file:|:memory:)([^?]+)", self.uri)
        return None if found is None else Path(unquote(found[1])).resolve()

    def mark(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a projection of a sweep would leave behind, by content and place.

        Equal marks mean that nothing is new. ``None`` where the local database is gone.
        """
        place: dict[str, Any] = {"uri": self.uri, "images": self.images}
        if self.database is not None:
            if not self.database.exists():
                return None
            place["inode"] = self.database.stat().st_ino  # a new file is another database
        return {**place, "content": content_digest(values)}
