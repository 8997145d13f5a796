"""Damage, disk use and garbage of a store, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.store import StoreUsage, StoreVerified
from turbo_lab.store.maintenance import Garbage


def print_verified(verified: StoreVerified) -> None:
    """Print what is damaged, and how to mend it."""
    for word, rows in (("removed", verified.removed), ("damaged", verified.damaged)):
        for row in rows:
            print(f"{word}  {row.path}: {row.reason}")
    if not verified.damaged:
        print(f"{verified.store}: sound")
    if any(row.is_broken for row in verified.damaged):
        print(f"\nremove them     turbo-lab store verify --remove-damaged store={verified.store}")
    elif verified.removed or verified.damaged:
        print("\nrun the same sweep again: it makes what is missing, and nothing else")


def print_usage(usage: StoreUsage) -> None:
    """Print one line per kind of file and per model."""
    for row in usage.kinds:
        _print_size(row.kind, row.files, row.size_bytes)
    for row in usage.models:
        _print_size(f"model {row.name or row.kind[:12]}", row.files, row.size_bytes)


def _print_size(name: str, files: int, size_bytes: int) -> None:
    print(f"{name:24} {files:8} files {size_bytes / 1e6:10.1f} MB")


def print_collected(found: Sequence[Garbage], is_dry_run: bool) -> None:
    """Print what was removed, or would be in a dry run, with the reason."""
    for garbage in found:
        print(f"{'would remove' if is_dry_run else 'removed'}  {garbage.path}: {garbage.reason}")
    done = "would be removed" if is_dry_run else "removed"
    freed_mb = sum(garbage.size_bytes for garbage in found) / 1e6
    print(f"{len(found)} {done}, {freed_mb:.1f} MB" if found else "nothing to remove")
