"""Keep the measurements of one cell of a sweep as a baseline of this folder."""

from __future__ import annotations

import re
from pathlib import Path

from turbo_lab.compare.baseline import baseline_of, own_folder, read_baseline, write_baseline
from turbo_lab.compare.published import refuse_published
from turbo_lab.documents.results import BaselineSet
from turbo_lab.errors import InputError, StoreError
from turbo_lab.store.store import Store
from turbo_lab.untrusted.paths import output_path
from turbo_lab.workflows.sweep_report import find_sweep, read_sweep

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def keep_baseline(name: str, store: Path, sweep: str, cell: int | None) -> BaselineSet:
    """Write a cell's measurements to ``baselines/<name>.json``; return what was there before.

    ``sweep``: its id, its first digits or its file. ``cell``: its number in the sweep; ``None``
    for the only one.
    """
    refuse_published("baseline set", name, sweep)
    if not _NAME.fullmatch(name):
        raise InputError(f"baseline set {name}: must be a name of letters, digits, - _ and .")
    folder = own_folder()
    path = output_path(folder / f"{name}.json", "baseline set: NAME")
    opened = Store.existing(store)
    baseline = baseline_of(name, opened, _record_id(opened, sweep, cell))
    before = _digest_there(name, folder) if path.exists() else None
    write_baseline(baseline, folder)
    return BaselineSet(path, baseline.content_digest, before)


def _digest_there(name: str, folder: Path) -> str:
    try:
        return read_baseline(name, folder).content_digest
    except StoreError:
        return "damaged"  # and replaced by what is written now


def _record_id(store: Store, sweep: str, cell: int | None) -> str:
    """Return the record id of a sweep's only cell, or of its cell number ``cell``."""
    cells = read_sweep(find_sweep(sweep, str(store.root)), None).cells
    if cell is None and len(cells) > 1:
        lines = (
            f"  cell={index}  {' '.join(f'{key}={value}' for key, value in row.axes.items())}"
            for index, row in enumerate(cells)
        )
        raise InputError("\n".join([f"{sweep}: has {len(cells)} cells; add one of", *lines]))
    index = cell or 0
    if index >= len(cells):
        raise InputError(f"cell={cell}: must be a number from 0 to {len(cells) - 1}")
    return cells[index].record_id
