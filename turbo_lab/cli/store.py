"""``turbo-lab store``: verify, du and gc."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from turbo_lab.cli.commands import Subcommands
from turbo_lab.cli.options import json_option, take_keys, words_argument
from turbo_lab.documents.cut_off import read_sweep_file
from turbo_lab.documents.output import print_document
from turbo_lab.documents.store import StoreCollected, StoreUsage, StoreVerified
from turbo_lab.errors import InputError
from turbo_lab.store import maintenance
from turbo_lab.store.layout import DEFAULT_STORE
from turbo_lab.store.store import Store


@click.group("store", cls=Subcommands)
def command() -> None:
    """Check a store, show its size or clean it up.

    store=DIRECTORY names it (default: turbo-lab-store).
    """


@command.command(short_help="Check every batch and document.")
@click.option("--remove-damaged", is_flag=True, help="Remove what is damaged.")
@json_option
@words_argument("[store=DIR]")
def verify(words: tuple[str, ...], remove_damaged: bool, as_json: bool) -> int:
    """Check every batch and document; exit code 3 if one is damaged or missing."""
    store = _open(words)
    removed: list[maintenance.Damage] = []
    if remove_damaged:
        removed, damaged = maintenance.remove_damaged(store, read_sweep_file)
    else:
        damaged = list(maintenance.verify(store, read_sweep_file))
    if as_json:
        verified = StoreVerified(store.root, tuple(removed), tuple(damaged))
        print_document("store verify", verified)
    else:
        _print_damage(store, removed, damaged)
    # Damage is neither a mistake of the user nor a verdict on a model: the work is incomplete.
    return 3 if damaged else 0


def _print_damage(
    store: Store, removed: Sequence[maintenance.Damage], damaged: Sequence[maintenance.Damage]
) -> None:
    for word, rows in (("removed", removed), ("damaged", damaged)):
        for row in rows:
            print(f"{word}  {row.path}: {row.reason}")
    if not damaged:
        print(f"{store.root}: sound")
    if any(row.is_broken for row in damaged):
        print(f"\nremove them     turbo-lab store verify --remove-damaged store={store.root}")
    elif removed or damaged:
        print("\nrun the same sweep again: it makes what is missing, and nothing else")


@command.command()
@json_option
@words_argument("[store=DIR]")
def du(words: tuple[str, ...], as_json: bool) -> int:
    """Show the disk space that each kind of file and each model takes."""
    store = _open(words)
    by_kind, by_model = maintenance.usage(store)
    if as_json:
        print_document("store du", StoreUsage(store.root, tuple(by_kind), tuple(by_model)))
        return 0
    for row in (*by_kind, *by_model):
        name = row.kind if row in by_kind else f"model {row.name or row.kind[:12]}"
        print(f"{name:24} {row.files:8} files {row.size_bytes / 1e6:10.1f} MB")
    return 0


@command.command(short_help="Remove what unfinished writes left.")
@click.option("--orphans", is_flag=True, help="Also remove batches that no record names.")
@click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@json_option
@words_argument("[store=DIR]")
def gc(words: tuple[str, ...], orphans: bool, dry_run: bool, as_json: bool) -> int:
    """Remove unfinished writes; with --orphans, also batches that no record names."""
    store = _open(words)
    found = maintenance.gc(store, orphans, dry_run)
    freed_bytes = sum(garbage.size_bytes for garbage in found)
    if as_json:
        removed = tuple(garbage.path for garbage in found)
        print_document("store gc", StoreCollected(store.root, removed, freed_bytes, dry_run))
        return 0
    for garbage in found:
        print(f"{'would remove' if dry_run else 'removed'}  {garbage.path}: {garbage.reason}")
    done = "would be removed" if dry_run else "removed"
    print(f"{len(found)} {done}, {freed_bytes / 1e6:.1f} MB" if found else "nothing to remove")
    return 0


def _open(words: Sequence[str]) -> Store:
    rest, keys = take_keys(words, "store")
    if rest:
        raise InputError(f"store: {rest[0]}: unexpected; pass store=DIRECTORY and options only")
    return Store.existing(Path(keys.get("store", DEFAULT_STORE)))
