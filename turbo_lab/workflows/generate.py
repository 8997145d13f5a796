"""Copies of generated images in a folder of the user's. Prints nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.errors import InputError, StoreError
from turbo_lab.store.record import CellStatus
from turbo_lab.store.store import images_of
from turbo_lab.untrusted.paths import read_regular, replace_file
from turbo_lab.workflows.sweep import Executed


@dataclass(frozen=True)
class SavedImage:
    """One image in the user's folder."""

    path: Path
    """The PNG file, an absolute path."""
    pixel_sha256: str
    """Hash of its pixels."""
    seed: int
    """Seed that it was drawn with."""
    prompt: str
    """Prompt that it was drawn from."""


def make_output_folder(folder: Path) -> None:
    """Make the folder before anything is drawn. Raises :class:`InputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"output={folder}: cannot be made ({reason}); name another") from error


def save_images(done: Executed, folder: Path) -> list[SavedImage]:
    """Copy the images of all finished cells to ``folder``, named by prompt, seed and pixels."""
    saved = []
    for record in done.outcome.records.values():
        if record.status == CellStatus.FAILED:
            continue
        for path, pixel_sha256, prompt, seed in images_of(done.store, record):
            slug = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:48] or "image"
            # Two prompts may have the same first letters: the pixels tell them apart.
            target = folder / f"{slug}-seed{seed}-{pixel_sha256[:8]}.png"
            _copy(path, target)
            saved.append(SavedImage(target.resolve(), pixel_sha256, seed, prompt))
    return saved


def _copy(path: Path, target: Path) -> None:
    """Copy a file by one rename; a link would let an edit reach the store."""
    try:
        replace_file(target, read_regular(path, error=StoreError))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"output={target.parent}: cannot be written to ({reason})") from error
