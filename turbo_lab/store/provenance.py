"""Sources of a cell's images: weights, licences, prompts and the code around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turbo_lab.environment import GitState
from turbo_lab.untrusted.typed_json import OMITTED


@dataclass(frozen=True)
class WeightsOrigin:
    """Where a model's, a VAE's or an adapter's weights come from."""

    digest: str
    """sha256 of the weights."""
    revision: str | None
    """Commit in the hub repository, 40 hex digits. ``None``: not from a hub."""
    license: str
    """Licence, as the model's own card states it."""
    license_source: str
    """Where the licence was read."""
    path: str | None = field(default=None, metadata=OMITTED)
    """Absolute path of the user's own file or folder. Absent for the weights of a card."""
    base: str | None = field(default=None, metadata=OMITTED)
    """Model that gave the parts that the user's own weights lack. Absent if there is none."""
    variant: str | None = field(default=None, metadata=OMITTED)
    """Variant of the user's own weight files, such as ``fp16``. Absent if none was named."""


@dataclass(frozen=True)
class SourceOrigin:
    """Where a source image comes from."""

    name: str
    """Name of its file."""
    path: Path
    """The file, an absolute path on the machine that drew from it."""
    width: int
    """Width of the picture in the file, upright, in pixels."""
    height: int
    """Height of the picture in the file, upright, in pixels."""
    resize: str
    """How the picture was brought to the size of the images."""


@dataclass(frozen=True)
class Provenance:
    """Models, adapters, prompts, source images and code that a cell was made from."""

    models: Mapping[str, WeightsOrigin]
    """The model, and a VAE that replaces the model's, by name."""
    adapters: Mapping[str, WeightsOrigin]
    """LoRA adapters, by name."""
    prompt_sets: Mapping[str, str]
    """sha256 of the prompt set, by its name."""
    git: GitState | None
    """Repository of the working directory. ``None``: it was not in one."""
    sources: Mapping[str, SourceOrigin] | None = field(default=None, metadata=OMITTED)
    """Source images, by the sha256 of their pixels at the size of the images. Absent for text to
    image."""
    notes: tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    """Assumptions, dropped settings and how batches were drawn, such as ``out of memory at 4
    images: drawn as 2+2``. Absent if there is nothing to say."""

    @property
    def weights(self) -> dict[str, WeightsOrigin]:
        """Origins of models, VAE and adapters, by name."""
        return {**self.models, **self.adapters}
