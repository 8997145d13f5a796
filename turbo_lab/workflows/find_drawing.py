"""Find the record or image that ``reproduce`` draws again."""

from __future__ import annotations

import re
from pathlib import Path

from turbo_lab.errors import InputError
from turbo_lab.planning.options import tracking_address
from turbo_lab.store.layout import StoreLayout
from turbo_lab.store.record import Record
from turbo_lab.store.store import Store
from turbo_lab.workflows.reproduce import Drawing, drawing_of_png, drawing_of_record


def find_drawing(word: str, store: Path, uri: str | None) -> Drawing:
    """Return the drawing that a word names: a PNG file, a record's path, an id or an MLflow run.

    ``uri``: MLflow's tracking server; ``None`` for that of ``MLFLOW_TRACKING_URI``, or else for
    the database of the working directory.
    """
    path = Path(word)
    if path.suffix.lower() == ".png":
        return drawing_of_png(path, Store.existing(store) if StoreLayout(store).exists else None)
    if path.suffix == ".json":
        # store/records/ab/<record id>.json
        if not path.exists():
            raise InputError(f"{word}: does not exist")
        above = path.resolve().parents
        opened = Store.existing(above[min(2, len(above) - 1)])
        return drawing_of_record(_by_id(opened, path.stem), opened)
    if not re.fullmatch(r"[0-9a-f]{8,64}", word):
        raise InputError(
            f"{word}: is not a PNG file, a record path, an id (8+ hex digits) or an MLflow run id"
        )
    opened = Store.existing(store)
    if len(word) == 32:
        from turbo_lab.tracking import Tracker, TrackingSettings

        local = TrackingSettings.local(Path.cwd(), "none")
        address = tracking_address(uri)
        settings = local if address is None else TrackingSettings(address, None, "none")
        return drawing_of_record(_by_id(opened, Tracker(settings).record_of(word)), opened)
    return drawing_of_record(_by_id(opened, word), opened)


def _by_id(store: Store, word: str) -> Record:
    """Return the record with a record id or cell id, or the beginning of one."""
    found = [
        record
        for record in store.records()
        if record.record_id.startswith(word) or record.cell_id.startswith(word)
    ]
    if not found:
        raise InputError(f"{word}: no record of {store.root} has this id")
    if len(found) > 1:
        names = ", ".join(record.record_id[:12] for record in found[:6])
        raise InputError(f"{word}: matches {len(found)} records ({names}); give a record id")
    return found[0]
