"""The weights that ship with the package, assembled into folders that diffusers loads.

Owns ``data/weights``, where pipelines share components: each model's ``card.json`` names the
folder of each component. Also owns the user's cache of assembled folders, which a stock
``from_pretrained`` loads.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.cards.conf import ConfigNode
from turbo_lab.cards.shape import SHAPE_FILE
from turbo_lab.errors import InputError, MissingFilesError, StoreError
from turbo_lab.identity import DigestCache, digest, user_cache
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import confined, file_name

WEIGHTS = Path(__file__).parent.parent / "data" / "weights"
CARD_FILE = "card.json"
# Files of a pipeline's folder that are not in a component.
_ROOT_FILES = ("model_index.json", "pytorch_lora_weights.safetensors", SHAPE_FILE)


def packaged_names() -> list[str]:
    """Return the names of everything that ships: pipelines, adapters, parts, extractors."""
    return sorted(path.parent.name for path in WEIGHTS.glob(f"*/{CARD_FILE}"))


def kind_word(kind: str) -> str:
    """Return the glossary's word for a card's kind; cards keep ``judge``, which is older."""
    return "extractor" if kind == "judge" else kind


@dataclass(frozen=True)
class PackagedCard:
    """The ``card.json`` of a model that ships, as training wrote it."""

    name: str
    """Name of the model, and of its folder."""
    kind: str
    """``pipeline``, ``adapter``, ``judge`` (an extractor), ``vae`` or ``text``."""
    title: str | None
    """One-line description; ``None``: the kind describes it."""
    license: str
    """Licence of the weights."""
    license_source: str
    """Place where the licence is stated."""
    trained_on: str | None
    """Data that the weights were trained on; ``None``: not stated."""
    parameters: int | None
    """Number of parameters; ``None``: not stated."""
    base: str | None
    """Model that training started from; ``None``: from scratch."""
    parts: Mapping[str, str]
    """Folders of components that are shared with other models, by component."""
    figures: Mapping[str, object] | None
    """Measured values by name; ``None``: none were measured."""


def read_packaged_card(name: str) -> PackagedCard:
    """Read the ``card.json`` of a model that ships.

    Raises :class:`MissingFilesError` if it is not part of this version.
    """
    path = WEIGHTS / file_name(name, "model") / CARD_FILE
    if not path.is_file():
        raise MissingFilesError(
            f"model={name}: its weights do not ship with this version; see turbo-lab models list"
        )
    card = ConfigNode(parse_json(path.read_text(encoding="utf-8")), f"{name}/{CARD_FILE}")
    return PackagedCard(
        name=card.text("name"),
        kind=card.text("kind"),
        title=card.optional_text("title"),
        license=card.text("license"),
        license_source=card.text("license_source"),
        trained_on=card.optional_text("trained_on"),
        parameters=card.optional_integer("parameters", 0),
        base=card.optional_text("base"),
        parts=_parts(card),
        figures=None if card.get("figures") is None else card.node("figures").values,
    )


@dataclass(frozen=True)
class VaeShape:
    """Facts from the ``config.json`` of a VAE that decide the memory of its decoder."""

    width: int
    """Channels of the decoder at full size."""
    force_upcast: bool
    """``True`` if the VAE runs in float32 in a pipeline of any precision."""


def read_vae_shape(card: PackagedCard) -> VaeShape:
    """Read the VAE's config of a pipeline that ships."""
    path = WEIGHTS / card.parts["vae"] / "config.json"
    config = ConfigNode(parse_json(path.read_text(encoding="utf-8")), str(path))
    widths = config.get("block_out_channels")
    if not isinstance(widths, Sequence) or not widths or not isinstance(widths[0], int):
        raise StoreError(f"{path}: block_out_channels: must be a list of integers")
    return VaeShape(widths[0], config.get("force_upcast") is True)


def _parts(card: ConfigNode) -> dict[str, str]:
    if card.get("parts") is None:
        return {}
    parts = card.node("parts")
    return {component: parts.text(component) for component in parts.values}


def packaged_files(name: str) -> dict[str, Path]:
    """Return the stored files of a pipeline by their path in the assembled folder."""
    card = read_packaged_card(name)
    home = WEIGHTS / name
    index = parse_json((home / "model_index.json").read_text(encoding="utf-8"))
    files = {file: home / file for file in _ROOT_FILES if (home / file).is_file()}
    for component, about in index.items():
        if not isinstance(about, list) or about[0] is None:
            continue
        file_name(component, f"model={name}: {home / 'model_index.json'}")
        part = card.parts.get(component, f"{name}/{component}")
        folder = confined(WEIGHTS, part, f"model={name}: parts")
        if not folder.is_dir():
            raise MissingFilesError(
                f"model={name}: {folder.name} is not in this installation; install turbo-lab again"
            )
        for path in sorted(folder.iterdir()):
            if path.is_file():
                files[f"{component}/{path.name}"] = path
    return files


def assemble(name: str, cache: DigestCache | None = None) -> Path:
    """Return a plain diffusers folder of a packaged pipeline, in the user's cache."""
    return link_together(name, packaged_files(name), cache or DigestCache())


def link_together(name: str, files: Mapping[str, Path], cache: DigestCache) -> Path:
    """Return a folder of hard links or copies of ``files``, named by their content.

    The folder is built under a temporary name and renamed, so that two processes may build it
    at once. An existing folder is checked first: if a file was rewritten in place, its hard link
    changed with it, and the folder has other weights than its name says.
    """
    try:
        wanted = {relative: cache.file(path) for relative, path in files.items()}
        target = user_cache() / "models" / f"{name}-{digest(wanted)[:12]}"
        if target.is_dir():
            if _digests(target, cache) == wanted:
                return target
            shutil.rmtree(_aside(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
        try:
            for relative, path in files.items():
                _link(path.resolve(), confined(temporary, relative, f"model={name}"))
            temporary.rename(target)
        except OSError:
            # Another process was first. Anything else is raised again.
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"model={name}: {user_cache()} cannot be used ({error.strerror or error}); "
            "set TURBO_LAB_CACHE to a folder that can be written"
        ) from error
    return target


def _digests(folder: Path, cache: DigestCache) -> dict[str, str]:
    return cache.folder(folder, (path for path in folder.rglob("*") if path.is_file()))


def _aside(folder: Path) -> Path:
    """Rename a folder before it is deleted, so that no process finds it half deleted."""
    trash = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
    folder.rename(trash / folder.name)
    return trash


def _link(source: Path, target: Path) -> None:
    """Link or copy one file to a name that does not exist yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError as error:
        raise InputError(
            f"model: {target.name}: two files of the model have this name here; rename one"
        ) from error
    except OSError:  # another file system, or one without hard links
        with source.open("rb") as original, target.open("xb") as copy:
            shutil.copyfileobj(original, copy)
