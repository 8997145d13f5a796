"""Where a sweep is projected to, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_lab.errors import InputError
from turbo_lab.projection import content_digest


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
        here = Path.cwd()
        return cls(f"sqlite:///{here / 'mlflow.db'}", here / "mlartifacts", values["images"])

    def mark(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a projection of a sweep would leave behind, by content and place.

        Equal marks mean that nothing is new. ``None`` where the local database is gone.
        """
        place: dict[str, Any] = {"uri": self.uri, "images": self.images}
        if self.artifacts is not None:
            database = Path(self.uri.removeprefix("sqlite:///"))
            if not database.exists():
                return None
            place["inode"] = database.stat().st_ino  # a database made anew is another one
        return {**place, "content": content_digest(values)}
