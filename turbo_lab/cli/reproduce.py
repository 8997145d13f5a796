"""``turbo-lab reproduce``: draw a recorded cell again and say what is identical."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.arguments import whole_number
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option, take_keys
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.store.layout import DEFAULT_STORE

_KEYS = ("store", "device", "num_threads", "tracking.uri")
_FILE_KEYS = ("model.path", "model.base", "model.variant", "lora", "vae", "image")


@click.command("reproduce")
@json_option
@config_dir_option
@words_argument("RECORD|IMAGE.png [KEY=VALUE]...")
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Generate a recorded image or cell again, and say what is identical.

    RECORD is a record's path, a cell or record id (8 or more hex digits), or an MLflow run id.
    Keys: store, device, num_threads, tracking.uri; and, for files of yours that were moved,
    model.path, model.base, model.variant, lora, vae and image (source images). The exit code is 1
    if the result differs although it must not, 3 if that cannot be decided.
    """
    from turbo_lab.report.text.reproduce import print_reproduction
    from turbo_lab.workflows.find_drawing import find_drawing
    from turbo_lab.workflows.recorded_weights import GivenFiles
    from turbo_lab.workflows.reproduce import reproduce

    rest, keys = take_keys(words, *_KEYS, *_FILE_KEYS)
    if len(rest) != 1:
        raise InputError(
            "reproduce: name one record: a PNG file, a record's path, a cell or record id, or an "
            "MLflow run id"
        )
    threads = keys.get("num_threads")
    num_threads = None if threads is None else whole_number(threads, "num_threads", 1)
    store = Path(keys.get("store", DEFAULT_STORE))
    drawing = find_drawing(rest[0], store, keys.get("tracking.uri"))
    given = GivenFiles.from_keys(keys)
    found = reproduce(drawing, keys.get("device", "auto"), num_threads, given)
    if as_json:
        print_document("reproduce", found)
    else:
        print_reproduction(found)
    return found.verdict.exit_code
