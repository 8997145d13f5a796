"""Ids of stored batches and records, computed again from what the documents hold.

Owns the check that an id names its content. Plans reuse a batch by its key, ``reproduce`` and
reports find records by their ids, and none of them computes an id from a document again. Pure:
no files.
"""

from __future__ import annotations

from collections.abc import Mapping

from turbo_lab.request.recipe import Batch, Layout, cell_id
from turbo_lab.store.record import BatchRecord, CellStatus, Record, Timing
from turbo_lab.store.store import record_id, reuse_key


def layout_of(batch: BatchRecord) -> Layout:
    """Return the rows of a stored batch."""
    return Layout(
        tuple(image.prompt for image in batch.images),
        tuple(image.seed for image in batch.images),
        tuple(image.source for image in batch.images if image.source is not None),
    )


def batch_problem(batch: BatchRecord) -> str | None:
    """Return why a batch's id does not name its recipe and rows; ``None``: it does."""
    layout = layout_of(batch)
    wanted = 0 if batch.recipe.strength is None else len(batch.images)
    if len(layout.sources) != wanted:
        return f"{len(layout.sources)} of {len(batch.images)} images name a source image"
    found = Batch(batch.recipe, layout).batch_id
    return _mismatch("recipe and images", "batch", batch.batch_id, found)


def record_problem(record: Record, batches: Mapping[str, BatchRecord]) -> str | None:
    """Return why a record's ids do not name its content; ``None``: they do.

    ``batches``: sound batches by reuse key. The cell's id is checked if all batches of a
    finished record are among them.
    """
    keys = record.fingerprint.keys
    found = record_id(record.cell_id, keys, record.exactness)
    if problem := _mismatch("cell and environment", "record", record.record_id, found):
        return problem
    own = [batches[key] for key in record.batches if key in batches]
    for batch in own:
        if reuse_key(batch.batch_id, keys, batch.exactness) != batch.reuse_key:
            return f"names the batch {batch.reuse_key[:12]}, which another environment drew"
        if batch.recipe != record.recipe:
            return f"names the batch {batch.reuse_key[:12]}, whose recipe is another"
    layouts = [layout_of(batch) for batch in own]
    known = record.provenance.sources or {}
    for source in dict.fromkeys(source for layout in layouts for source in layout.sources):
        if source not in known:
            return f"does not say where the source image {source[:12]} is from"
    if record.status == CellStatus.FAILED or len(own) < len(record.batches):
        return None
    return _mismatch("recipe and batches", "cell", record.cell_id, cell_id(record.recipe, layouts))


def timing_problem(timing: Timing, timed_cell: str) -> str | None:
    """Return why a timing is not of its record's cell; ``None``: it is."""
    return None if timing.cell_id == timed_cell else f"is of the cell {timing.cell_id[:12]}"


def _mismatch(content: str, kind: str, stored: str, found: str) -> str | None:
    if stored == found:
        return None
    return f"its {content} have the {kind} id {found[:12]}, but it says {stored[:12]}"
