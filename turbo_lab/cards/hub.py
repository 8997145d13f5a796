"""Files in the local Hugging Face cache. Downloads nothing.

Owns the messages that say how to get a file: repository, revision, licence, command. A revision
that a card leaves open is read from the cache and pinned in a lock file, so that a later change
is an error.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.cards.card import AdapterCard, Card, ModelCard, VaeCard, model_card, model_names
from turbo_lab.errors import InputError, MissingFilesError, StoreError
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import confined, file_name, read_regular, replace_file, user_path

# Files of an SDXL repository that diffusers needs, in half the size of the plain ones.
MODEL_PATTERNS = ("*.json", "*.txt", "*/*.fp16.safetensors")
# Of a repository that holds a UNet alone.
_UNET_PATTERNS = ("config.json", "*.fp16.safetensors")

_COMMIT = re.compile(r"[0-9a-f]{40}")


def cached_snapshot(card: Card) -> tuple[Path, str]:
    """Return folder and commit of a card's repository in the local cache.

    Reads the documented layout of the cache, because importing the hub's client takes 0.7 s.
    Raises :class:`MissingFilesError` that names the command to run.
    """
    assert card.repository is not None, "a hub card has a repository"
    found = snapshot(card.repository, card.revision)
    if found is None:
        raise missing_from_cache(card)
    return found


def snapshot(repository: str, revision: str | None) -> tuple[Path, str] | None:
    """Return a repository's folder in the local cache and its commit; ``None`` if absent.

    ``revision=None``: commit of ``main`` when it was downloaded, or else the only commit.
    """
    name = file_name(f"models--{repository.replace('/', '--')}", f"repository {repository}")
    home = cache_dir() / name
    if revision is None:
        main = home / "refs" / "main"
        if not main.is_file():
            revision = _only_commit(home)
            if revision is None:
                return None
        else:
            revision = read_regular(main, follow_links=True).decode(errors="replace").strip()
        if not _COMMIT.fullmatch(revision):
            raise InputError(
                f"{main}: {revision[:80]!a}: must be the 40 hex digits of a commit; remove {home} "
                "and download the repository again"
            )
    folder = confined(home, f"snapshots/{revision}", f"{home}: snapshot")
    return (folder, revision) if folder.is_dir() else None


def _only_commit(home: Path) -> str | None:
    """Return the commit of a repository that was downloaded by commit; ``None`` if none was.

    Such a download leaves no ``refs/main``. Raises :class:`InputError` for several commits.
    """
    names = sorted(path.name for path in home.glob("snapshots/*") if _COMMIT.fullmatch(path.name))
    if len(names) > 1:
        raise InputError(
            f"{home}: holds {len(names)} commits and no refs/main that says which is meant "
            f"({', '.join(names)}); download the repository again, or remove all but one"
        )
    return names[0] if names else None


def cached_file(folder: Path, relative: str) -> Path:
    """Return a file of a snapshot; it may link to a blob, but not out of its repository."""
    home = folder.parent.parent
    return confined(home, f"snapshots/{folder.name}/{relative}", f"{folder}: file")


def single_file_config() -> Path:
    """Return the folder with SDXL base's configs and tokenizers, which a lone file lacks.

    Raises :class:`MissingFilesError` that names the command to run; without the folder, diffusers
    would download them.
    """
    card = model_card("sdxl-base")
    try:
        folder, _ = cached_snapshot(card)
    except MissingFilesError:
        folder = None
    if folder is None or not (folder / "model_index.json").is_file():
        raise MissingFilesError(
            "model.path: a lone file has no configs and tokenizers; those of SDXL base 1.0 serve, "
            f"and are not in the local Hugging Face cache (licence: {card.license}). If you accept "
            f"it, run: hf download {card.repository} --revision {card.revision} "
            '--include "*.json" --include "*.txt"'
        )
    return folder


def cache_dir() -> Path:
    """Return the cache folder of the hub's client, by its own environment variables."""
    if own := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return user_path(own)
    if home := os.environ.get("HF_HOME"):
        return user_path(home) / "hub"
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return user_path(root) / "huggingface" / "hub"


def missing_from_cache(card: Card, what: str = "it") -> MissingFilesError:
    """Return an error that says what is missing, its licence, and how to get it."""
    kind = {AdapterCard: "lora", VaeCard: "vae"}.get(type(card), "model")
    return MissingFilesError(
        f"{kind}={card.name}: {what} is not in the local Hugging Face cache, and turbo-lab "
        f"downloads nothing by itself. Licence: {card.license} ({card.license_source}). "
        f"If you accept it, run: {download_command(card)}"
        + ("" if _is_shared(card) else f" (or turbo-lab models get {card.name})")
    )


def how_to_get(card: Card) -> str:
    """Return the command that fetches what a card needs, and nothing else.

    ``models get`` takes a name as a model's if a model and an adapter share it.
    """
    return download_command(card) if _is_shared(card) else f"turbo-lab models get {card.name}"


def _is_shared(card: Card) -> bool:
    return isinstance(card, AdapterCard) and card.name in model_names()


@dataclass(frozen=True)
class Download:
    """Files of one repository that a card needs."""

    card: Card
    """Card that names the repository and its licence."""
    files: tuple[str, ...]
    """Names of files; empty where ``patterns`` say which."""
    patterns: tuple[str, ...] = ()
    """Patterns of file names, as the hub's client takes them."""

    @property
    def command(self) -> str:
        """Shell command that fetches the files into the local cache."""
        files = "".join(f" {file}" for file in self.files)
        revision = f" --revision {self.card.revision}" if self.card.revision else ""
        patterns = "".join(f' --include "{pattern}"' for pattern in self.patterns)
        return f"hf download {self.card.repository}{files}{revision}{patterns}"


def download_of(card: Card) -> Download:
    """Return what a card needs from its own repository."""
    if isinstance(card, ModelCard) and card.file is None:
        is_part = card.base is not None and model_card(card.base).repository != card.repository
        return Download(card, (), _UNET_PATTERNS if is_part else MODEL_PATTERNS)
    if isinstance(card, VaeCard):
        return Download(card, ("config.json", "diffusion_pytorch_model.safetensors"))
    assert card.file is not None
    return Download(card, (card.file,))


def download_command(card: Card) -> str:
    """Return the shell command that fetches a card's files into the local cache."""
    return download_of(card).command


def pin_revision(lock: Path, repository: str, revision: str) -> None:
    """Pin the commit of a repository whose card leaves it open, or check it.

    ``lock``: JSON file in the store. Raises :class:`InputError` if it has another commit, since
    the weights have then changed after the first load.
    """
    known = pinned_revisions(lock)
    if known.get(repository, revision) != revision:
        raise InputError(
            f"model: {repository} was at revision {known[repository]} when it was first used here "
            f"and is now at {revision}; delete its line in {lock} to accept the change"
        )
    if repository in known:
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(known | {repository: revision}, indent=1, sort_keys=True)
    replace_file(lock, f"{text}\n".encode())


def pinned_revisions(lock: Path) -> dict[str, str]:
    """Return the pinned commits by repository; empty if there are none.

    Raises :class:`StoreError` if the file is damaged.
    """
    try:
        known = parse_json(read_regular(lock, error=StoreError).decode())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StoreError(
            f"{lock}: is damaged ({error}); remove it to pin the revision again"
        ) from error
    if not isinstance(known, dict):
        raise StoreError(
            f"{lock}: is damaged (no JSON object); remove it to pin the revision again"
        )
    return known
