"""``turbo-lab reproduce``: draw a recorded cell again and say what is identical."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turbo_lab.cli.arguments import whole_number
from turbo_lab.cli.options import json_option, take_keys, words_argument
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.store.layout import DEFAULT_STORE
from turbo_lab.store.record import Record
from turbo_lab.store.store import Store

if TYPE_CHECKING:
    from turbo_lab.workflows.reproduce import Drawing


@click.command("reproduce")
@json_option
@words_argument("RECORD|IMAGE.png [store=DIR] [device=DEVICE] [num_threads=N] [tracking.uri=URI]")
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Draw a recorded image or cell again here, and say what is identical.

    Name it by a PNG file, a record's path, a cell or record id (8 or more hex digits), or an
    MLflow run id. Exit code 1 if it differs although it must not, 3 if that cannot be said.
    """
    from turbo_lab.workflows.reproduce import reproduce

    rest, keys = take_keys(words, "store", "device", "num_threads", "tracking.uri")
    if len(rest) != 1:
        raise InputError(
            "reproduce: name one record: a PNG file, a record's path, a cell or record id, or an "
            "MLflow run id"
        )
    threads = keys.get("num_threads")
    num_threads = None if threads is None else whole_number(threads, "num_threads", 1)
    drawing = _drawing(rest[0], Path(keys.get("store", DEFAULT_STORE)), keys.get("tracking.uri"))
    device = keys.get("device", "auto")
    found = reproduce(drawing, device, num_threads)
    if as_json:
        print_document("reproduce", found)
        return found.verdict.exit_code
    print(f"{found.verdict}: {found.message}")
    print(f"{found.num_identical} of {found.num_images} images identical to the bit")
    if found.first_divergence is not None:
        first = found.first_divergence
        print(f"first divergence  {first.stage}, {first.max_abs} levels in {first.image}")
    for row in found.fingerprint_difference:
        print(f"{row.key:17} {row.recorded} -> {row.here}")
    return found.verdict.exit_code


def _drawing(word: str, store: Path, uri: str | None) -> Drawing:
    from turbo_lab.workflows.reproduce import drawing_of_png, drawing_of_record

    path = Path(word)
    if path.suffix.lower() == ".png":
        return drawing_of_png(path)
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
        settings = TrackingSettings(uri, None, "none") if uri else local
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
        raise InputError(f"{word}: fits {len(found)} records ({names}); give a record id")
    return found[0]
