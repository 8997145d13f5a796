"""What is already in the local Hugging Face cache. Downloads nothing, ever.

Owns the messages that say what to get: repository, revision, licence, command.
A revision that a card leaves open is resolved from the cache and pinned in a
lock file, so that a later silent change is an error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from turbo_lab.cards.card import AdapterCard, ModelCard, model_card
from turbo_lab.errors import InputError, MissingFilesError

# What diffusers reads of an SDXL repository, at half the size of the plain names.
MODEL_PATTERNS = ("*.json", "*.txt", "*/*.fp16.safetensors")


def cached_snapshot(card: ModelCard | AdapterCard) -> tuple[Path, str]:
    """Folder and commit of a card's repository in the local cache.

    Reads the cache's documented layout itself: importing the hub's client takes
    0.7 s. Raises :class:`MissingFilesError` that names the command to run.
    """
    assert card.repository is not None, "a hub card has a repository"
    home = cache_dir() / f"models--{card.repository.replace('/', '--')}"
    revision = card.revision
    if revision is None:
        main = home / "refs" / "main"
        if not main.is_file():
            raise missing_from_cache(card)
        revision = main.read_text(encoding="utf-8").strip()
    folder = home / "snapshots" / revision
    if not folder.is_dir():
        raise missing_from_cache(card)
    return folder, revision


def single_file_config() -> Path:
    """Folder of SDXL base's configs and tokenizers, which a lone file lacks and diffusers takes.

    Without it diffusers would fetch them by itself: raises
    :class:`MissingFilesError` that names the command to run.
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
    """Where the hub's client keeps its files, by its own environment variables."""
    if own := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(own).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "huggingface" / "hub"


def missing_from_cache(card: ModelCard | AdapterCard, what: str = "it") -> MissingFilesError:
    """What is not there, under which licence, and how to get it."""
    kind = "lora" if isinstance(card, AdapterCard) else "model"
    return MissingFilesError(
        f"{kind}={card.name}: {what} is not in the local Hugging Face cache, and turbo-lab "
        f"downloads nothing by itself. Licence: {card.license} ({card.license_source}). "
        f"If you accept it, run: {download_command(card)}"
    )


def download_command(card: ModelCard | AdapterCard) -> str:
    """The shell command that fetches a card's files into the local cache."""
    revision = f" --revision {card.revision}" if card.revision else ""
    if isinstance(card, AdapterCard):
        return f"hf download {card.repository} {card.file}{revision}"
    patterns = " ".join(f'--include "{pattern}"' for pattern in MODEL_PATTERNS)
    return f"hf download {card.repository}{revision} {patterns}"


def pin_revision(lock: Path, repository: str, revision: str) -> None:
    """Record the commit of a repository whose card leaves it open, or check it.

    ``lock``: a JSON file in the store. Raises :class:`InputError` where it
    holds another commit: the weights have changed since the first load.
    """
    known = json.loads(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    if known.get(repository, revision) != revision:
        raise InputError(
            f"model: {repository} was at revision {known[repository]} when it was first used here "
            f"and is now at {revision}; delete its line in {lock} to accept the change"
        )
    if repository in known:
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    temporary = lock.with_name(f".{lock.name}.{os.getpid()}")
    text = json.dumps(known | {repository: revision}, indent=1, sort_keys=True)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, lock)
