"""Looking after a store: is it sound, what takes the room, what can go.

Owns ``verify``, ``du`` and ``gc``. Nothing that a running sweep may be using is
ever removed: unfinished writes go only where the process that made them has
ended, and batches that no record names only when asked for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turbo_lab import images
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.store import Store


@dataclass(frozen=True)
class Damage:
    """One thing that is not as it was committed."""

    path: Path
    """A batch's folder or a document."""
    reason: str
    """What is wrong with it."""


@dataclass(frozen=True)
class Usage:
    """Room taken by one kind of file."""

    kind: str
    """Of the store's layout, or a model's digest for batches."""
    files: int
    """Their number."""
    size_bytes: int
    """On disk as written."""


def verify(store: Store) -> Iterator[Damage]:
    """Everything that is damaged: batches first, then documents, then what names nothing."""
    sound: set[str] = set()
    for folder in sorted((store.root / "batches").glob("*/*")):
        reason = _batch_damage(store, folder)
        if reason is None:
            sound.add(folder.name)
        else:
            yield Damage(folder, reason)
    known = set()
    for path in sorted((store.root / "records").glob("*/*.json")):
        try:
            record = store.read_record(path.stem)
        except TurboLabError as error:
            yield Damage(path, str(error))
            continue
        assert record is not None
        known.add(record.record_id)
        missing = [key for key in record.batches if key not in sound]
        if record.status == "done" and missing:
            yield Damage(path, f"names {len(missing)} batches that are missing or damaged")
    for kind in ("measurements", "timings"):
        for folder in sorted((store.root / kind).glob("*")):
            if folder.name not in known:
                yield Damage(folder, "belongs to no record")
            for path in sorted(folder.glob("*.json")):
                if (reason := _json_damage(path)) is not None:
                    yield Damage(path, reason)


def _batch_damage(store: Store, folder: Path) -> str | None:
    try:
        batch = store.read_batch(folder.name)
        if batch.reuse_key != folder.name:
            return f"is the batch {batch.reuse_key[:12]}"
        for entry in batch.images:
            pixels, _ = images.read_png(folder / entry.file)
            if images.pixel_sha256(pixels) != entry.pixel_sha256:
                return f"{entry.file} has other pixels than were committed"
    except (TurboLabError, KeyError, TypeError) as error:
        return " ".join(str(error).split())
    return None


def _json_damage(path: Path) -> str | None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return f"is no JSON ({error})"
    return None


def remove(store: Store, damage: Damage) -> None:
    """Delete what is damaged; the next sweep makes it again."""
    path = damage.path.resolve()
    if store.root not in path.parents:
        raise InputError(f"{path}: is outside of the store")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def usage(store: Store) -> tuple[list[Usage], list[Usage]]:
    """Room by kind of file, and of the batches by model."""
    kinds = ("batches", "records", "measurements", "timings", "sweeps", "tmp")
    by_kind = [_usage(kind, (store.root / kind).rglob("*")) for kind in kinds]
    models: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for folder in (store.root / "batches").glob("*/*"):
        model = str(store.read_batch(folder.name).recipe["model"])
        found = _usage(model, folder.rglob("*"))
        models[model] += found.size_bytes
        files[model] += found.files
    by_model = [Usage(model, files[model], size) for model, size in models.most_common()]
    return by_kind, by_model


def _usage(kind: str, paths: Iterator[Path]) -> Usage:
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return Usage(kind, len(sizes), sum(sizes))


def orphans(store: Store) -> list[Path]:
    """Batches that no record names: a sweep that was never finished."""
    named = {key for record in store.records() for key in record.batches}
    folders = sorted((store.root / "batches").glob("*/*"))
    return [folder for folder in folders if folder.name not in named]


def unfinished(store: Store) -> list[Path]:
    """Folders of writes whose process has ended."""
    folders = sorted((store.root / "tmp").iterdir())
    return [folder for folder in folders if not _is_alive(folder.name)]


def _is_alive(name: str) -> bool:
    """Whether the process that a folder is named after runs; a number used again counts as it."""
    pid = name.partition("-")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True


def size_of(path: Path) -> int:
    """Bytes of a folder."""
    return _usage("", path.rglob("*")).size_bytes
