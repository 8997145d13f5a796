"""Sweeps that were cut off: the note that a sweep leaves when it begins, and its cells so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turbo_lab.documents.sweep import Axes, CellResult, SweepCounts, SweepResult
from turbo_lab.errors import StoreError
from turbo_lab.store.layout import SWEEP_FILE
from turbo_lab.store.record import CellStatus
from turbo_lab.store.store import Store
from turbo_lab.untrusted.paths import hex_name


@dataclass(frozen=True)
class CutOffSweep:
    """A sweep that was cut off, as far as it came."""

    sweep_id: str
    """Id of the sweep."""
    store: Path
    """Folder of the store, an absolute path."""
    counts: SweepCounts
    """Numbers of cells; ``distinct`` also counts those that were not reached."""
    cells: tuple[CellResult, ...]
    """The cells that have a record; they have no metrics, which are measured at the end."""


@dataclass(frozen=True)
class BegunCell:
    """One cell that a sweep is about to make."""

    axes: Axes
    """Values of the keys that vary, by key."""
    aliases: tuple[Axes, ...]
    """Axes of other points of the grid that are the same cell."""
    records: tuple[str, ...]
    """Every id that the cell's record may get, the preferred one first."""


@dataclass(frozen=True)
class BegunSweep:
    """The note that a sweep leaves in its store before it draws anything."""

    sweep_id: str
    """Id of the sweep."""
    requested: int
    """Points of the grid."""
    cells: tuple[BegunCell, ...]
    """The cells, in the order of the grid."""

    @classmethod
    def read(cls, store: Store, path: Path) -> BegunSweep:
        """Return a note of a store. Raises :class:`StoreError` for one that is damaged."""
        begun = store.read_document(cls, "begun", path)
        hex_name(begun.sweep_id, f"{path}: sweep_id", StoreError)
        for cell in begun.cells:
            for name in cell.records:
                hex_name(name, f"{path}: records", StoreError)
        return begun

    def cut_off(self, store: Store) -> CutOffSweep:
        """Return the sweep as it was cut off: the cells whose records are in the store."""
        cells = [cell for one in self.cells if (cell := _left_by(one, store)) is not None]
        failed = sum(cell.is_failed for cell in cells)
        counts = SweepCounts(
            requested=self.requested,
            distinct=len(self.cells),
            reused=0,
            done=len(cells) - failed,
            failed=failed,
        )
        return CutOffSweep(self.sweep_id, store.root, counts, tuple(cells))


def read_sweep_file(store: Store, path: Path) -> list[Path]:
    """Read a sweep's document or its note; return the files of the store that it names.

    A note names none: its records may not be there yet. Raises :class:`StoreError` if the file is
    damaged, or names files outside the store.
    """
    if path.name != SWEEP_FILE:
        BegunSweep.read(store, path)
        return []
    cells = SweepResult.read(store, path).moved(store.root).cells
    return [file for cell in cells for file in (cell.record, *(i.path for i in cell.images))]


def _left_by(begun: BegunCell, store: Store) -> CellResult | None:
    """Return a cell of a sweep that was cut off; ``None``: it has no record yet.

    Metrics are measured at the end of a whole sweep, so there are none.
    """
    found = [record for name in begun.records if (record := store.read_record(name))]
    if not found:
        return None
    # One that is done counts before one that failed.
    record = next((one for one in found if one.status == CellStatus.DONE), found[0])
    return CellResult.of(record, store, begun.axes, begun.aliases)
