"""``turbo-lab store``: verify, du and gc."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from turbo_lab.cli.arguments import take_flag, take_key
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.request.recipe import as_plain
from turbo_lab.store import maintenance
from turbo_lab.store.store import Store


def main(arguments: list[str]) -> int:
    """Run one subcommand; returns its exit code."""
    if not arguments or arguments[0].startswith("-"):
        raise InputError("store: write verify, du or gc behind it")
    name, *rest = arguments
    if name not in _SUBCOMMANDS:
        raise unknown_name("store", name, _SUBCOMMANDS)
    return _SUBCOMMANDS[name](rest)


def _verify(arguments: list[str]) -> int:
    """``store verify [store=DIR] [--remove-damaged] [--json]``."""
    as_json, removes = take_flag(arguments, "--json"), take_flag(arguments, "--remove-damaged")
    store = _open(arguments)
    removed: list[maintenance.Damage] = []
    if removes:
        removed, damaged = maintenance.remove_damaged(store)
    else:
        damaged = list(maintenance.verify(store))
    if as_json:
        values = {"removed": _plain(removed), "damaged": _plain(damaged)}
        print_document("store verify", {"store": str(store.root), **values})
    else:
        _print_damage(store, removed, damaged)
    # Damage is no mistake of the user's and no verdict on a model: what was made is not all
    # there, which is "incomplete".
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


def _du(arguments: list[str]) -> int:
    """``store du [store=DIR] [--json]``."""
    as_json = take_flag(arguments, "--json")
    store = _open(arguments)
    by_kind, by_model = maintenance.usage(store)
    if as_json:
        values = {"kinds": _plain(by_kind), "models": _plain(by_model)}
        print_document("store du", {"store": str(store.root), **values})
        return 0
    for row in (*by_kind, *by_model):
        name = row.kind if row in by_kind else f"model {row.name or row.kind[:12]}"
        print(f"{name:24} {row.files:8} files {row.size_bytes / 1e6:10.1f} MB")
    return 0


def _gc(arguments: list[str]) -> int:
    """``store gc [store=DIR] [--orphans] [--dry-run] [--json]``."""
    as_json, dry_run = take_flag(arguments, "--json"), take_flag(arguments, "--dry-run")
    with_orphans = take_flag(arguments, "--orphans")
    store = _open(arguments)
    found = maintenance.gc(store, with_orphans, dry_run)
    freed_bytes = sum(garbage.size_bytes for garbage in found)
    if as_json:
        removed = [str(garbage.path) for garbage in found]
        values = {"removed": removed, "freed_bytes": freed_bytes, "dry_run": dry_run}
        print_document("store gc", {"store": str(store.root), **values})
        return 0
    for garbage in found:
        print(f"{'would remove' if dry_run else 'removed'}  {garbage.path}: {garbage.reason}")
    print(f"{len(found)} in all, {freed_bytes / 1e6:.1f} MB")
    return 0


def _open(arguments: list[str]) -> Store:
    root = Path(take_key(arguments, "store") or "turbo-lab-store")
    if arguments:
        raise InputError(f"store: {arguments[0]}: unknown word; it takes store=DIR and flags")
    return Store.existing(root)


def _plain(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {key: str(value) if isinstance(value, Path) else value for key, value in row.items()}
        for row in as_plain(rows)
    ]


_SUBCOMMANDS: dict[str, Callable[[list[str]], int]] = {"verify": _verify, "du": _du, "gc": _gc}
