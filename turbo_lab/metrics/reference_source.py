"""The file of a reference and what it is by content; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turbo_lab.errors import MissingFilesError, unknown_name
from turbo_lab.identity import DigestCache
from turbo_lab.request.prompts import DATA

REFERENCES = DATA.parent / "reference"


@dataclass(frozen=True)
class ReferenceSource:
    """A file of reference statistics for Fréchet distances."""

    name: str
    """Short name, such as ``scenes-heldout``."""
    path: Path
    """File that :func:`turbo_lab.metrics.reference.save_reference` wrote."""

    def digest(self, cache: DigestCache) -> str:
        """Return the sha256 of the file; raises :class:`MissingFilesError` if it is absent."""
        if not self.path.is_file():
            raise MissingFilesError(
                f"reference={self.name}: {self.path} does not exist; "
                "build it with: turbo-lab reference build"
            )
        return cache.file(self.path)


def reference_source(name: str = "scenes-heldout") -> ReferenceSource:
    """Return a packaged reference by name, or a ``.safetensors`` file by path."""
    if name.endswith(".safetensors"):
        return ReferenceSource(Path(name).stem, Path(name))
    packaged = {"scenes-heldout", *(path.stem for path in REFERENCES.glob("*.safetensors"))}
    if name not in packaged:
        raise unknown_name("reference", name, [*packaged, "FILE.safetensors"])
    return ReferenceSource(name, REFERENCES / f"{name}.safetensors")
