"""``turbo-lab store du``: the disk space that a store takes."""

from __future__ import annotations

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.store.options import open_store
from turbo_lab.documents.output import print_document
from turbo_lab.documents.store import StoreUsage
from turbo_lab.report.text.store import print_usage
from turbo_lab.store import maintenance


@click.command("du")
@json_option
@words_argument("[store=DIR]")
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Show the disk space that each kind of file and each model takes."""
    store = open_store(words)
    by_kind, by_model = maintenance.usage(store)
    usage = StoreUsage(store.root, tuple(by_kind), tuple(by_model))
    if as_json:
        print_document("store du", usage)
    else:
        print_usage(usage)
    return 0
