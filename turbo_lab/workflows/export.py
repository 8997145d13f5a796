"""Export of a sweep for other tools: images in folders by axis value, tables and the sheet."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from turbo_lab.documents.results import ExportedSweep
from turbo_lab.documents.sweep import CellResult, ImageFile, SweepResult
from turbo_lab.errors import InputError
from turbo_lab.report.csv import cells_csv, images_csv
from turbo_lab.store.layout import SWEEP_FILE, StoreLayout
from turbo_lab.untrusted.paths import read_regular, refuse_links

_MAX_BYTES = 100
_KEPT = re.compile(r"[^\w.,=@+-]+")


def export_sweep(sweep: SweepResult, target: Path) -> ExportedSweep:
    """Copy a sweep's images into ``target``, with ``cells.csv``, ``images.csv`` and its sheet.

    The folder appears only when it is complete. An image that is not there is left out and
    counted. Raises :class:`InputError` for a target that exists and is not an empty folder.
    """
    if target.is_symlink() or (target.exists() and not _is_empty_folder(target)):
        raise InputError(f"{target}: exists already; name a new folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".turbo-lab-export-", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
    try:
        copied, missing = _fill(sweep, aside)
        aside.chmod(0o755)  # mkdtemp keeps others out
        os.replace(aside, target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # it has moved, unless something went wrong
    return ExportedSweep(target.resolve(), sweep.sweep_id, copied, missing)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _fill(sweep: SweepResult, folder: Path) -> tuple[int, int]:
    """Write everything into a folder; returns the number of images copied and of those missing."""
    names = _folders(sweep.cells)
    copied: list[tuple[str, CellResult, ImageFile]] = []
    missing = 0
    is_store = StoreLayout(sweep.store).exists  # a document may name any folder as its store
    for cell in sweep.cells:
        place = names[cell.record_id]
        for index, image in enumerate(cell.images):
            if not is_store or not image.path.exists():
                missing += 1
                continue
            name = f"images/{place}{'/' if place else ''}{index:04d}-seed{image.seed}.png"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read_regular(image.path))
            copied.append((name, cell, image))
    folders = {key: f"images/{name}".rstrip("/") for key, name in names.items()}
    (folder / "cells.csv").write_text(cells_csv(sweep.cells, folders), encoding="utf-8")
    (folder / "images.csv").write_text(images_csv(copied), encoding="utf-8")
    kept = StoreLayout(sweep.store).sweep(sweep.sweep_id)
    for source, name in ((kept.sheet, "sheet.png"), (kept.document, SWEEP_FILE)):
        if is_store and source.is_file():
            refuse_links(sweep.store, source)
            (folder / name).write_bytes(read_regular(source))
    return len(copied), missing


def _folders(cells: Sequence[CellResult]) -> Mapping[str, str]:
    """Return the folder of each cell's images by record id: one level per axis that varies."""
    varied = [
        name
        for name in dict.fromkeys(name for cell in cells for name in cell.axes)
        if len({str(cell.axes.get(name)) for cell in cells}) > 1
    ]
    texts = {f"{name}={cell.axes[name]}" for cell in cells for name in varied if name in cell.axes}
    names = folder_names(texts)
    return {
        cell.record_id: "/".join(
            names[f"{name}={cell.axes[name]}"] for name in varied if name in cell.axes
        )
        for cell in cells
    }


def folder_names(texts: Collection[str]) -> Mapping[str, str]:
    """Return a folder name for each text that every system takes; different texts stay different.

    Two names that differ only in case are one on some systems.
    """
    plain = {text: _plain(text) for text in sorted(texts)}
    count = Counter(name.casefold() for name in plain.values())
    return {
        text: name
        if count[name.casefold()] == 1
        else f"{name}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"
        for text, name in plain.items()
    }


def _plain(text: str) -> str:
    name = _KEPT.sub("_", text).strip("._ ") or "_"
    while len(name.encode()) > _MAX_BYTES:
        name = name[:-1]
    return name
