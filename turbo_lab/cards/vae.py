"""VAEs that replace the checkpoint's own: folders of an ``AutoencoderKL``.

Owns a VAE's identity, by content. Refuses pickled weights and folders of other models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turbo_lab.cards.card import VaeCard, vae_card, vae_names
from turbo_lab.cards.folder import check_files
from turbo_lab.cards.hub import cached_file, cached_snapshot, missing_from_cache
from turbo_lab.cards.packaged import WEIGHTS, packaged_names, read_packaged_card
from turbo_lab.cards.shape import SHAPE_FILE
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache, digest
from turbo_lab.untrusted.paths import user_path

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class VaeFiles:
    """A VAE on this machine."""

    name: str
    """Name or path, as the user wrote it."""
    path: Path
    """Folder that ``AutoencoderKL.from_pretrained`` loads."""
    digest: str
    """Digest of config and weights."""
    license: str
    """Licence of the weights; ``unknown`` for the user's own folder."""
    license_source: str
    """Place where the licence is stated."""
    revision: str | None = None
    """Commit in the cache; ``None`` for packaged and local folders."""
    has_random_weights: bool = False
    """``True`` if the weights are drawn from a seed when the VAE is loaded."""


def locate_vae(name: str, cache: DigestCache | None = None) -> VaeFiles:
    """Find a packaged VAE by name, or a diffusers folder by path.

    Raises :class:`MissingFilesError` for what is absent.
    """
    cache = cache or DigestCache()
    card = read_packaged_card(name) if name in packaged_names() else None
    if card is not None and card.kind != "vae":
        raise InputError(f"vae={name}: is a {card.kind}, not a VAE; name a VAE, or its folder")
    if card is None and name in vae_names():
        return _from_hub(vae_card(name), cache)
    folder = WEIGHTS / name if card else user_path(name).resolve()
    if not folder.is_dir():
        known = ", ".join(["nano-vae", *vae_names()])
        raise MissingFilesError(
            f"vae={name}: does not exist; name a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, or "
            f"one of {known}"
        )
    is_shape = (folder / SHAPE_FILE).is_file()
    files = {f: folder / f for f in (CONFIG_FILE, SHAPE_FILE if is_shape else WEIGHTS_FILE)}
    missing = [file for file, path in files.items() if not path.is_file()]
    if missing:
        raise MissingFilesError(
            f"vae={name}: {folder} lacks {' and '.join(missing)}; a VAE of diffusers has both, as "
            "save_pretrained writes them"
        )
    check_files(files)
    return VaeFiles(
        name=name,
        path=folder,
        digest=digest({"vae": {file: cache.file(path) for file, path in files.items()}}),
        license="unknown" if card is None else card.license,
        license_source="the user's own folder" if card is None else card.license_source,
        has_random_weights=is_shape,
    )


def _from_hub(card: VaeCard, cache: DigestCache) -> VaeFiles:
    """Return a VAE of the local Hugging Face cache."""
    folder, revision = cached_snapshot(card)
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / file).is_file():
            raise missing_from_cache(card, file)
    files = {file: cached_file(folder, file) for file in (CONFIG_FILE, WEIGHTS_FILE)}
    check_files(files)
    return VaeFiles(
        name=card.name,
        path=folder,
        digest=digest({"vae": {file: cache.file(path) for file, path in files.items()}}),
        license=card.license,
        license_source=card.license_source,
        revision=revision,
    )
