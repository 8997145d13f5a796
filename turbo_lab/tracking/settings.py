"""Where a sweep is projected to, how much of it, and how long a sweep waits for that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from turbo_lab.planning.options import TrackingOptions
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
    def from_options(cls, options: TrackingOptions) -> TrackingSettings | None:
        """Return the settings for a sweep's options; ``None`` if it is not tracked."""
        if options.kind == "none":
            return None
        if options.uri is not None:
            return cls(options.uri, None, options.images)
        return cls.local(Path.cwd(), options.images)

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
