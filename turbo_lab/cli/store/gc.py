"""``turbo-lab store gc``: remove what unfinished writes left."""

from __future__ import annotations

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.store.options import open_store
from turbo_lab.documents.output import print_document
from turbo_lab.documents.store import StoreCollected
from turbo_lab.report.text.store import print_collected
from turbo_lab.store import maintenance


@click.command("gc", short_help="Remove what unfinished writes left.")
@click.option("--orphans", is_flag=True, help="Also remove batches that no record names.")
@click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@json_option
@words_argument("[store=DIR]")
def command(words: tuple[str, ...], orphans: bool, dry_run: bool, as_json: bool) -> int:
    """Remove unfinished writes; with --orphans, also batches that no record names."""
    store = open_store(words)
    found = maintenance.gc(store, orphans, dry_run)
    if as_json:
        freed_bytes = sum(garbage.size_bytes for garbage in found)
        removed = tuple(garbage.path for garbage in found)
        print_document("store gc", StoreCollected(store.root, removed, freed_bytes, dry_run))
    else:
        print_collected(found, dry_run)
    return 0
