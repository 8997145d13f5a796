"""The documents of ``models``: list, show, get and verify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from turbo_lab.cards.card import Recommended
from turbo_lab.untrusted.typed_json import OMITTED


class ModelStatus(StrEnum):
    """State of a model's files on this machine."""

    READY = "ready"
    MISSING = "missing"
    NEEDS_PATH = "needs a path"


@dataclass(frozen=True)
class ModelRow:
    """One model, adapter or shared part."""

    name: str
    """Name, as in ``model=NAME``."""
    kind: str
    """``pipeline``, ``adapter``, or the kind of a part that ships: ``judge``, ``vae``, ``text``."""
    title: str
    """One line about it."""
    source: str
    """``packaged``, ``hub`` or ``local``."""
    license: str
    """Licence, as its own card states it."""
    status: ModelStatus
    """``ready``; ``missing``: its files are not on this machine; ``needs a path``: your own."""


@dataclass(frozen=True)
class ModelList:
    """The ``models list`` document."""

    models: tuple[ModelRow, ...]
    """All models and adapters, and the parts that ship."""


@dataclass(frozen=True)
class ModelMetric:
    """One metric on a card, measured when the model was trained."""

    value: float | None
    """The value. ``None``: not scored."""
    unit: str
    """Unit."""
    n: int
    """Number of independent samples."""
    ci95: tuple[float, float] | None = field(default=None, metadata=OMITTED)
    """95% confidence interval. Absent if the card has none."""
    note: str | None = field(default=None, metadata=OMITTED)
    """Remark for the reader. Absent if there is none."""


@dataclass(frozen=True)
class ModelShown:
    """The ``models show`` document. Its ``kind`` is that of the model, not of the document."""

    name: str
    """Name, as in ``model=NAME``."""
    kind: str
    """``pipeline``, ``adapter``, or the kind of a part that ships: ``judge``, ``vae``, ``text``."""
    title: str
    """One line about it."""
    source: str
    """``packaged``, ``hub`` or ``local``."""
    repository: str | None
    """Hub repository. ``None``: it is not from a hub."""
    revision: str | None
    """Commit, 40 hex digits. ``None``: not from a hub, or left open by the card."""
    license: str
    """Licence, as its own card states it."""
    license_source: str
    """Source of the licence statement."""
    base: str | None
    """Model that it was trained from, or that it extends. ``None``: there is none."""
    trained_on: str | None
    """Training data. ``None``: it does not ship with turbo-lab."""
    parameters: int | None
    """Number of parameters. ``None``: it does not ship with turbo-lab."""
    figures: Mapping[str, ModelMetric] | None
    """Metrics measured after training, by name. ``None``: it does not ship with turbo-lab."""
    path: Path | None
    """Folder or file. ``None``: its files are not on this machine."""
    digest: str | None
    """sha256 of the weights. ``None``: its files are not on this machine."""
    size_bytes: int | None
    """Size on disk, in bytes. ``None``: its files are not on this machine."""
    missing: str | None
    """Files to get. ``None``: nothing is missing."""
    components: Mapping[str, str] | None = field(default=None, metadata=OMITTED)
    """sha256 of each component, by name. Only of a pipeline that is there."""
    scheduler: Mapping[str, object] | None = field(default=None, metadata=OMITTED)
    """Scheduler config. Only of a pipeline that is there."""
    ranks: tuple[int, ...] | None = field(default=None, metadata=OMITTED)
    """Ranks of the layers. Only of an adapter that is there."""
    recommended: Recommended | None = field(default=None, metadata=OMITTED)
    """Settings to start from. Only of a pipeline."""
    supported_steps: str | None = field(default=None, metadata=OMITTED)
    """Supported numbers of steps. Only of a pipeline."""
    adapter: str | None = field(default=None, metadata=OMITTED)
    """Adapter that belongs to the pipeline, such as an LCM-LoRA. Only of a pipeline with one."""


@dataclass(frozen=True)
class FetchedRepository:
    """One repository of which files were fetched."""

    name: str
    """Name of the card that the files belong to."""
    repository: str
    """Repository on the hub."""
    revision: str | None
    """Commit, 40 hex digits. ``None``: the newest, because the card leaves it open."""
    files: tuple[str, ...]
    """Names of the files, or patterns of names."""
    license: str
    """Licence that was accepted."""
    license_source: str
    """Source of the licence statement."""
    path: Path
    """Folder in the local cache."""


@dataclass(frozen=True)
class ModelsFetched:
    """The ``models get`` document."""

    repositories: tuple[FetchedRepository, ...]
    """Repositories that the model needs, its own first."""


@dataclass(frozen=True)
class ModelsVerified:
    """The ``models verify`` document."""

    n: int
    """Number of files that were hashed again."""
    changed: tuple[Path, ...]
    """Files whose content has changed."""
