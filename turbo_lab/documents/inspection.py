"""The ``show``, ``doctor``, ``reproduce`` and ``reference build`` documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from turbo_lab.untrusted.typed_json import OMITTED
from turbo_lab.verdict import Verdict


class FindingStatus(StrEnum):
    """The outcome of one check of ``doctor``."""

    OK = "ok"
    NOTE = "note"
    """Something cannot be run here."""
    PROBLEM = "problem"
    """Nothing can be run until it is fixed."""


@dataclass(frozen=True)
class Finding:
    """One item that ``doctor`` checked."""

    name: str
    """Name, such as ``torch`` or ``model sdxl-turbo``."""
    status: FindingStatus
    """``ok``; ``note``: something cannot be run here; ``problem``: nothing can."""
    detail: str
    """Finding and, if it is not ``ok``, the remedy."""


@dataclass(frozen=True)
class Diagnosis:
    """The ``doctor`` document."""

    verdict: Literal[FindingStatus.OK, FindingStatus.PROBLEM]
    """``problem`` if any finding is one, otherwise ``ok``."""
    findings: tuple[Finding, ...]
    """All items that were checked."""

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Diagnosis:
        """Return the diagnosis that follows from all findings."""
        found = tuple(findings)
        is_sound = all(row.status != FindingStatus.PROBLEM for row in found)
        return cls(FindingStatus.OK if is_sound else FindingStatus.PROBLEM, found)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that must be fixed."""
        return tuple(row for row in self.findings if row.status == FindingStatus.PROBLEM)

    @property
    def exit_code(self) -> int:
        """Exit code of ``doctor``."""
        return 3 if self.verdict == FindingStatus.PROBLEM else 0


@dataclass(frozen=True)
class PixelDivergence:
    """First difference of a redrawn image from the recorded one."""

    stage: str
    """First stage that differs."""
    image: str
    """PNG file of the recorded image."""
    max_abs: int
    """Largest difference of a pixel, in levels of 255."""
    window_density: float
    """Largest share of differing pixels in any window."""


@dataclass(frozen=True)
class RecordedKey:
    """One key of the environment that has changed."""

    key: str
    """Name of the key."""
    recorded: object
    """Value of the key in the record."""
    here: object
    """Value of the key on this machine."""


@dataclass(frozen=True)
class Reproduction:
    """The ``reproduce`` document."""

    verdict: Verdict
    """``pass``; ``regression``; ``uncovered``: no rule says what may differ."""
    identical: bool
    """``true`` if every image, and every stage whose hash was kept, is bit for bit equal."""
    num_images: int
    """Number of images that were compared."""
    num_identical: int
    """Number of images whose pixels are equal."""
    message: str
    """The outcome in one line."""
    first_divergence: PixelDivergence | None
    """Largest of the first differences. ``None``: everything is identical."""
    fingerprint_difference: tuple[RecordedKey, ...]
    """Keys of the environment that have changed."""


@dataclass(frozen=True)
class ReferenceBuilt:
    """The ``reference build`` document."""

    path: Path
    """File that was written, an absolute path."""
    name: str
    """Name of the reference."""
    n: int
    """Number of images."""
    distinct: int
    """Number of images that differ from each other."""
    num_features: int
    """Number of features per image."""
    features: bool
    """``true`` if the file keeps the features of each image."""
    extractor_name: str
    """Name of the extractor."""
    extractor: str
    """sha256 of the extractor and its preprocessing."""
    digest: str
    """sha256 of the file."""
    warnings: tuple[str, ...]
    """Limits on its use."""


@dataclass(frozen=True)
class BatchRows:
    """The rows of the batch that an image was drawn in."""

    prompts: tuple[str, ...]
    """Prompt of each row."""
    seeds: tuple[int, ...]
    """Seed of each row."""
    sources: tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    """sha256 of each row's source image. Absent for text to image."""


@dataclass(frozen=True)
class ShownImage:
    """The ``show`` document: recipe and hashes in a PNG file."""

    recipe: Mapping[str, object]
    """Recipe: weights and scheduler by content, and all settings that decide the pixels."""
    prompt: str
    """Prompt of the image."""
    seed: int
    """Seed of the image's own generator."""
    batch_id: str
    """sha256 of the batch's recipe and layout."""
    row: int
    """Row of the image in its batch, from 0."""
    rows: BatchRows
    """All rows of the batch."""
    exactness: str
    """``exact``, ``batched`` or ``split``: how its rows were computed."""
    pixel_sha256: str
    """sha256 of the pixels that were drawn."""
    keys: Mapping[str, object]
    """Keys of the environment."""
    pixels_intact: bool
    """``true`` if the pixels of the file are those that were drawn."""
    negative_prompt: str | None = None
    """Text of the negative prompt. ``None``: it had no effect, or an old version wrote the file."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Names of the weights, by digest; empty if written by a version that recorded none."""
    stages: Mapping[str, str] | None = None
    """sha256 of each stage, by name. ``None``: written by a version that recorded none."""
    sources: Mapping[str, str] | None = field(default=None, metadata=OMITTED)
    """Names of the source images' files, by sha256. Absent for text to image."""
