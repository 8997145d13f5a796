"""The ``generate``, ``report``, ``sync`` and ``baseline`` documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.documents.sweep import ImageFile
from turbo_lab.request.parameters import Parameters


@dataclass(frozen=True)
class GeneratedImages:
    """The ``generate`` document."""

    images: tuple[ImageFile, ...]
    """The images, copied to the output folder."""
    load_s: float
    """Time of imports and loading, in seconds."""
    notes: tuple[str, ...] = ()
    """With ``--from``: what is not equivalent to the image or was ignored, one line each."""


@dataclass(frozen=True)
class WrittenReport:
    """The ``report`` document."""

    report: Path
    """File that was written, an absolute path."""
    sweep_id: str
    """Id of the sweep."""
    missing_images: int
    """Number of the sweep's images that were not found."""


@dataclass(frozen=True)
class ProjectStarted:
    """The ``init`` document."""

    folder: Path
    """Folder of the project, an absolute path."""
    name: str
    """Name of the policy."""
    model: str
    """Name of the model that is gated."""
    files: tuple[str, ...]
    """Files that were written, relative to the folder."""


@dataclass(frozen=True)
class ExportedSweep:
    """The ``export`` document."""

    folder: Path
    """Folder that was written, an absolute path."""
    sweep_id: str
    """Id of the sweep."""
    images: int
    """Number of images copied."""
    missing_images: int
    """Number of the sweep's images that were not found."""


@dataclass(frozen=True)
class FailedSync:
    """One sweep that could not be replayed."""

    sweep_id: str
    """Id of the sweep."""
    error: str
    """Reason of the failure."""


@dataclass(frozen=True)
class SyncResult:
    """The ``sync`` document."""

    tracking_uri: str
    """Address of MLflow."""
    sweeps: tuple[str, ...]
    """Ids of the sweeps that were replayed completely."""
    cut_off: tuple[str, ...]
    """Ids of the sweeps that had been cut off, and were replayed as far as they came."""
    failed: tuple[FailedSync, ...]
    """Sweeps, comparisons and gates that could not be replayed."""
    judgements: tuple[str, ...] = ()
    """Ids of the comparisons and gates that were replayed."""


@dataclass(frozen=True)
class BaselineSet:
    """The ``baseline set`` document."""

    path: Path
    """File of the baseline."""
    digest: str
    """sha256 of its content."""
    replaced: str | None
    """Digest of the baseline before; ``damaged`` if it could not be read. ``None``: there was
    none."""


@dataclass(frozen=True)
class BaselineList:
    """The ``baseline list`` document."""

    baselines: tuple[str, ...]
    """Names of the baselines."""


@dataclass(frozen=True)
class BaselineShown:
    """The ``baseline show`` document."""

    name: str
    """Name of the baseline."""
    digest: str
    """sha256 of its content."""
    record_id: str
    """Id of the record that it was made from."""
    parameters: Parameters
    """All settings of its cell, by config key."""
    images: int
    """Number of images."""
    figures: Mapping[str, float | None]
    """Values of its metrics, by name. ``None``: not scored."""
    fingerprint: Mapping[str, object]
    """Keys of the environment that it was made in."""
