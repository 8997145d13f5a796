"""Evidence of a bisection: what one version draws, kept so that an interrupted search resumes.

Layout of the folder::

    search.json                   what is searched for; another search replaces it
    VERSION/evidence.json         packages, answer of the probe or the reason of a skip
    VERSION/stages.safetensors    every stage of the golden cases
    VERSION/metrics.json          measurements of the images, if the test is a metric

A version's folder is built under another name and renamed when it is complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from turbo_lab.compare.baseline import Baseline, read_baseline, write_baseline
from turbo_lab.identity import digest
from turbo_lab.store.record import read_object
from turbo_lab.untrusted.paths import write_whole
from turbo_lab.untrusted.typed_json import read_typed, to_plain
from turbo_lab.upgrade.goldens import Run, read_runs
from turbo_lab.upgrade.installer import Resolved
from turbo_lab.upgrade.messages import DrawnCases

_SEARCH, _EVIDENCE, _STAGES, _METRICS = (
    "search.json",
    "evidence.json",
    "stages.safetensors",
    "metrics",
)


@dataclass(frozen=True)
class Evidence:
    """Everything that one version drew, or why it did not."""

    version: str
    """Version, or the first digits of a commit."""
    packages: tuple[Resolved, ...]
    """Packages that differ from those of this environment."""
    failure: str | None = None
    """Why it could not be imported or could not draw anything. ``None``: it drew."""
    skip: str | None = None
    """Why it could not be tested at all. ``None``: it could."""
    drawn: DrawnCases | None = None
    """Answer of its process on the golden cases. ``None``: they were not drawn."""


class EvidenceFolder:
    """The evidence of one search."""

    def __init__(self, root: Path, search: Mapping[str, object]) -> None:
        """Open a folder; what another search left in it is removed.

        ``search``: everything that decides what the evidence means.
        """
        self.root = root
        plain = to_plain(search)
        path = root / _SEARCH
        if not path.exists() or digest(read_object(path)) != digest(plain):
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            write_whole(path, json.dumps(plain, indent=1).encode())

    def read(self, version: str) -> Evidence | None:
        """Return the evidence of a version; ``None``: there is none yet."""
        path = self._folder(version) / _EVIDENCE
        return read_typed(Evidence, read_object(path)) if path.exists() else None

    def runs(self, evidence: Evidence) -> dict[str, Run]:
        """Return the runs of a version's golden cases."""
        assert evidence.drawn is not None
        return read_runs(evidence.drawn, self.stages(evidence.version))

    def stages(self, version: str) -> Path:
        """Return the file of a version's stages."""
        return self._folder(version) / _STAGES

    def metrics(self, version: str) -> Baseline:
        """Return the measurements of a version's images."""
        return read_baseline(_METRICS, self._folder(version))

    def write(self, version: str, make: Callable[[Path], tuple[Evidence, Baseline | None]]) -> None:
        """Keep what ``make`` finds; it gets the file for the stages."""
        with self._whole(version) as folder:
            evidence, measured = make(folder / _STAGES)
            if measured is not None:
                write_baseline(replace(measured, name=_METRICS), folder)
            write_whole(folder / _EVIDENCE, json.dumps(to_plain(evidence), indent=1).encode())

    @contextmanager
    def _whole(self, version: str) -> Iterator[Path]:
        final = self._folder(version)
        aside = final.with_name(f"{final.name}.making")
        for left in (aside, final):
            shutil.rmtree(left, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            yield aside
            aside.rename(final)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _folder(self, version: str) -> Path:
        return self.root / version

    def versions(self) -> int:
        """Return how many versions ran."""
        found = (read_typed(Evidence, read_object(p)) for p in self.root.glob(f"*/{_EVIDENCE}"))
        return sum(one.skip is None for one in found)
