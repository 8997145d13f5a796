"""Replay of a store's sweeps into MLflow. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from turbo_lab.documents.cut_off import BegunSweep
from turbo_lab.documents.results import FailedSync, SyncResult
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.errors import StoreError, TurboLabError
from turbo_lab.progress import waiting
from turbo_lab.store.layout import SweepFiles
from turbo_lab.store.store import Store
from turbo_lab.tracking import Tracker
from turbo_lab.untrusted.paths import refuse_links
from turbo_lab.workflows.judgement import replay_judgement
from turbo_lab.workflows.sweep_report import attachments


@dataclass(frozen=True)
class SyncedSweep:
    """A sweep that was replayed, or the reason why it was not."""

    sweep_id: str
    """Id of the sweep, or of the judgement."""
    cells: int = 0
    """Number of cells that were replayed."""
    begun_cells: int | None = None
    """Number of all cells of a sweep that was cut off; ``None``: it was not cut off."""
    error: str | None = None
    """Reason why it was not replayed; ``None``: it was."""
    is_judgement: bool = False
    """``True`` for a comparison or a gate."""


def sync_store(
    store: Store, tracker: Tracker, note: Callable[[str], None]
) -> Iterator[SyncedSweep]:
    """Replay every sweep, comparison and gate of a store; yield each when it is done.

    Sweeps that were cut off are replayed as far as they came.

    ``note`` gets a line about sweeps that are left for later. Raises a sweep's error if no other
    sweep can be replayed either.
    """
    for files in store.layout.sweeps():
        if files.document.exists():
            yield _replayed(files.sweep_id, tracker, partial(_whole, files, store, tracker))
    for judged in store.layout.judgements():
        if judged.document.exists():
            replay = partial(_judged, judged.judgement_id, store, tracker)
            yield replace(_replayed(judged.judgement_id, tracker, replay), is_judgement=True)
    begun, is_alone = _cut_off_sweeps(store)
    if begun and not is_alone:
        # The other process may be running one of them.
        reason = "cannot be written to" if store.is_read_only else "another process has it open"
        note(f"{store.root}: {reason}; sweeps without an end are left for later")
        return
    for files in begun:
        yield _replayed(files.sweep_id, tracker, partial(_cut_off, files, store, tracker))


def sync_result(uri: str, synced: Sequence[SyncedSweep]) -> SyncResult:
    """Return the result of a replay to ``uri``."""
    done = [one for one in synced if one.error is None]
    whole = [one for one in done if one.begun_cells is None]
    return SyncResult(
        tracking_uri=uri,
        sweeps=tuple(one.sweep_id for one in whole if not one.is_judgement),
        cut_off=tuple(one.sweep_id for one in done if one.begun_cells is not None),
        judgements=tuple(one.sweep_id for one in whole if one.is_judgement),
        failed=tuple(FailedSync(o.sweep_id, o.error) for o in synced if o.error is not None),
    )


def _cut_off_sweeps(store: Store) -> tuple[list[SweepFiles], bool]:
    """Return the sweeps without an end, and whether certainly no process is running one."""
    if store.is_read_only:
        return store.cut_off_sweeps(), False
    with store.locks.alone() as is_alone:
        return store.cut_off_sweeps(), is_alone


def _replayed(sweep_id: str, tracker: Tracker, replay: Callable[[], SyncedSweep]) -> SyncedSweep:
    """Replay one sweep; its error does not stop the others unless none can be replayed."""
    try:
        with waiting(f"replaying {sweep_id}"):
            return replay()
    except TurboLabError as error:
        if tracker.is_lost:
            raise
        return SyncedSweep(sweep_id, error=str(error))


def _whole(files: SweepFiles, store: Store, tracker: Tracker) -> SyncedSweep:
    for file in (files.document, files.sheet):
        refuse_links(store.root, file, StoreError)
    # It may have been made elsewhere.
    sweep = SweepResult.read(store, files.document).moved(store.root)
    tracker.project(sweep, attachments(sweep, files.sheet, tracker.settings.images))
    return SyncedSweep(files.sweep_id, len(sweep.cells))


def _judged(judgement_id: str, store: Store, tracker: Tracker) -> SyncedSweep:
    replay_judgement(judgement_id, store, tracker)
    return SyncedSweep(judgement_id)


def _cut_off(files: SweepFiles, store: Store, tracker: Tracker) -> SyncedSweep:
    begun = BegunSweep.read(store, files.begun)
    left = begun.cut_off(store)
    tracker.project(left)
    return SyncedSweep(begun.sweep_id, len(left.cells), len(begun.cells))
