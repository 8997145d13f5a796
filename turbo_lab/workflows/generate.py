"""Copies of generated images in a folder that the user chose. Prints nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from turbo_lab.documents.sweep import ImageFile, image_files, with_flags
from turbo_lab.errors import InputError, StoreError
from turbo_lab.store.record import CellStatus
from turbo_lab.untrusted.paths import read_regular, replace_file
from turbo_lab.workflows.executed import Executed


def make_output_folder(folder: Path) -> None:
    """Make the folder before anything is drawn. Raises :class:`InputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"output={folder}: cannot be created ({reason}); name another folder"
        ) from error


def save_images(done: Executed, folder: Path) -> list[ImageFile]:
    """Copy the images of all finished cells to ``folder``, named by prompt, seed and pixels."""
    saved = []
    for record in done.outcome.records.values():
        if record.status == CellStatus.FAILED:
            continue
        measured = done.measurements.get(record.record_id, ())
        for image in with_flags(image_files(done.store, record), measured):
            slug = re.sub(r"[^a-z0-9]+", "-", image.prompt.lower()).strip("-")[:48] or "image"
            # Two prompts may begin alike, so the name has part of the pixels' hash.
            target = folder / f"{slug}-seed{image.seed}-{image.pixel_sha256[:8]}.png"
            _copy(image.path, target)
            saved.append(replace(image, path=target.resolve()))
    return saved


def _copy(path: Path, target: Path) -> None:
    """Copy a file and rename it into place; an edit of a link would reach the store."""
    try:
        replace_file(target, read_regular(path, error=StoreError))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"output={target.parent}: cannot be written to ({reason})") from error
