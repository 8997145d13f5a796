"""``turbo-lab store``: verify, du and gc."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from turbo_lab import upkeep
from turbo_lab.commands.words import print_document, take_flag, take_key
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.spec import as_plain
from turbo_lab.store import Store


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
    found = []
    for damage in upkeep.verify(store):
        found.append(damage)
        if removes:
            upkeep.remove(store, damage)
        if not as_json:
            print(f"{'removed' if removes else 'damaged'}  {damage.path}: {damage.reason}")
    if as_json:
        print_document("store verify", {"store": str(store.root), "damaged": _plain(found)})
    elif not found:
        print(f"{store.root}: sound")
    elif removes:
        print("\nrun the sweep again: only what was removed is made")
    else:
        print("\nremove them     turbo-lab store verify --remove-damaged")
    # Damage that is still there is no user's mistake and no verdict on a model: the store cannot
    # be trusted to be whole, which is "incomplete".
    return 3 if found and not removes else 0


def _du(arguments: list[str]) -> int:
    """``store du [store=DIR] [--json]``."""
    as_json = take_flag(arguments, "--json")
    store = _open(arguments)
    by_kind, by_model = upkeep.usage(store)
    if as_json:
        values = {"kinds": _plain(by_kind), "models": _plain(by_model)}
        print_document("store du", {"store": str(store.root), **values})
        return 0
    for row in by_kind:
        print(f"{row.kind:14} {row.files:8} files {row.size_bytes / 1e6:10.1f} MB")
    for row in by_model:
        print(f"model {row.kind[:12]} {row.files:4} files {row.size_bytes / 1e6:10.1f} MB")
    return 0


def _gc(arguments: list[str]) -> int:
    """``store gc [store=DIR] [--orphans] [--dry-run] [--json]``."""
    as_json, dry = take_flag(arguments, "--json"), take_flag(arguments, "--dry-run")
    with_orphans = take_flag(arguments, "--orphans")
    store = _open(arguments)
    paths = upkeep.unfinished(store) + (upkeep.orphans(store) if with_orphans else [])
    freed = sum(upkeep.size_of(path) for path in paths)
    for path in paths:
        if not dry:
            shutil.rmtree(path)
        if not as_json:
            print(f"{'would remove' if dry else 'removed'}  {path}")
    if as_json:
        values = {"removed": [str(path) for path in paths], "freed_bytes": freed, "dry_run": dry}
        print_document("store gc", values)
    else:
        print(f"{len(paths)} folders, {freed / 1e6:.1f} MB")
    return 0


def _open(arguments: list[str]) -> Store:
    root = Path(take_key(arguments, "store") or "turbo-lab-store")
    if arguments:
        raise InputError(f"store: {arguments[0]}: unknown word; it takes store=DIR and flags")
    if not (root / "store.json").exists():
        raise InputError(f"store={root}: is no store; name it with store=DIRECTORY")
    return Store(root)


def _plain(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {key: str(value) if isinstance(value, Path) else value for key, value in row.items()}
        for row in as_plain(rows)
    ]


_SUBCOMMANDS: dict[str, Callable[[list[str]], int]] = {"verify": _verify, "du": _du, "gc": _gc}
