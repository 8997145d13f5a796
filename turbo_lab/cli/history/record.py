"""``turbo-lab history record``: add the numbers of documents to a history."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from turbo_lab.cli.options import json_option
from turbo_lab.cli.output_files import output_option
from turbo_lab.documents.history import HistoryEntry
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError, StoreError
from turbo_lab.history.file import DEFAULT_FILE


@click.command("record")
@click.argument("documents", nargs=-1, required=True, metavar="DOCUMENT...")
@output_option("--history", "History file to append to.", default=DEFAULT_FILE)
@json_option
def command(documents: tuple[str, ...], history: Path, as_json: bool) -> int:
    """Add the numbers of documents to a history.

    DOCUMENT is what gate, bench or golden check print with --json; - reads it from standard
    input. Entries that the history has already are not added again.

    \b
    turbo-lab gate gate=release --json > gate.json
    turbo-lab history record gate.json
    """
    from turbo_lab.history.file import append

    done = append(history, [_entry(name) for name in documents])
    if as_json:
        print_document("history record", done)
    else:
        again = f", {done.already} of them already there" if done.already else ""
        total = done.added + done.already
        print(f"{history}: {total} entr{'y' if total == 1 else 'ies'}{again}")
    return 0


def _entry(name: str) -> HistoryEntry:
    """Return the entry of a document. Raises :class:`TurboLabError`."""
    from turbo_lab.history.figures import read_entry

    where = "standard input" if name == "-" else name
    entry = read_entry(_read(name, where), where)
    if not entry.figures:
        raise InputError(f"{where}: nothing was measured, so there is nothing to keep")
    return entry


def _read(name: str, where: str) -> Mapping[str, object]:
    from turbo_lab.store.record import read_object
    from turbo_lab.untrusted.json_text import parse_json

    if name != "-":
        return read_object(Path(name), "write it again with --json")
    try:
        values = parse_json(sys.stdin.buffer.read())
    except ValueError as error:
        raise StoreError(f"{where}: is damaged ({error})") from error
    if not isinstance(values, dict):
        raise StoreError(f"{where}: is damaged (it is not a JSON object)")
    return values
