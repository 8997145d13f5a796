"""``turbo-lab store verify``: check every batch and document."""

from __future__ import annotations

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.store.options import open_store
from turbo_lab.documents.cut_off import read_sweep_file
from turbo_lab.documents.output import print_document
from turbo_lab.documents.store import StoreVerified
from turbo_lab.report.text.store import print_verified
from turbo_lab.store import maintenance


@click.command("verify", short_help="Check every batch and document.")
@click.option("--remove-damaged", is_flag=True, help="Remove what is damaged.")
@json_option
@words_argument("[store=DIR]")
def command(words: tuple[str, ...], remove_damaged: bool, as_json: bool) -> int:
    """Check every batch and document; exit code 3 if one is damaged or missing."""
    store = open_store(words)
    removed: list[maintenance.Damage] = []
    if remove_damaged:
        removed, damaged = maintenance.remove_damaged(store, read_sweep_file)
    else:
        damaged = list(maintenance.verify(store, read_sweep_file))
    verified = StoreVerified(store.root, tuple(removed), tuple(damaged))
    if as_json:
        print_document("store verify", verified)
    else:
        print_verified(verified)
    # Damage is neither a mistake of the user nor a verdict on a model: the work is incomplete.
    return 3 if damaged else 0
