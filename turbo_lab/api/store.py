"""A store, read from Python: its sweeps, records, measurements, timings and images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.api.frames import FrameKind, FrameRows, MeasuredCell, TimedCell
from turbo_lab.api.results import Sweep, read_images
from turbo_lab.api.tables import plain_html
from turbo_lab.documents.sweep import CellResult, MetricValue, SweepResult
from turbo_lab.documents.timing import CellTiming
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.store.record import Measurement, Record, Timing
from turbo_lab.store.store import Store

if TYPE_CHECKING:
    import pandas
    from PIL import Image


@dataclass(frozen=True)
class ResultStore:
    """A store of results. Nothing is cached: each call reads what is there now."""

    path: Path
    """Its folder, an absolute path."""

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, in the order of their ids: one per cell, environment and exactness."""
        return tuple(self._store.records())

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """All finished sweeps, in the order of their ids."""
        files = self._store.layout.sweeps()
        return tuple(self._sweep(one.sweep_id) for one in files if one.document.exists())

    def sweep(self, sweep_id: str) -> Sweep:
        """Return the finished sweep whose id begins so.

        Raises :class:`InputError` unless there is exactly one.
        """
        files = self._store.layout.sweeps()
        known = [one.sweep_id for one in files if one.document.exists()]
        found = [name for name in known if sweep_id and name.startswith(sweep_id)]
        if len(found) > 1:
            raise InputError(f"{sweep_id}: fits {len(found)} sweeps: {', '.join(found)}")
        if not found:
            raise unknown_name("sweep", sweep_id, known)
        return self._sweep(found[0])

    def measurements(self, record: Record) -> tuple[Measurement, ...]:
        """Return all measurements of a record, with their values per image."""
        return tuple(self._store.measurements(record.record_id))

    def timings(self, record: Record) -> tuple[Timing, ...]:
        """Return all timings of a record, oldest first, with every sample."""
        return tuple(self._store.timings(record.record_id))

    def images(self, record: Record | None = None) -> list[Image.Image]:
        """Return the images of one record, or of all; see :meth:`Sweep.images`."""
        store = self._store
        records = store.records() if record is None else [record]
        return read_images(CellResult.of(one, store, {}) for one in records)

    def to_pandas(self, kind: FrameKind = "cells") -> pandas.DataFrame:
        """Return a data frame with one row per cell, image, timing or measurement.

        ``kind``: ``cells``, ``images``, ``timings`` or ``measurements``. The first columns are
        the settings in which the records of this store differ.
        """
        store = self._store
        records = list(store.records())
        measured = {one.record_id: store.measurements(one.record_id) for one in records}
        cells = {
            one.record_id: CellResult.of(one, store, axes, measurements=measured[one.record_id])
            for one, axes in zip(records, _varying(records), strict=True)
        }
        return FrameRows(
            list(cells.values()),
            [
                TimedCell(cells[name], timing.latency_s, CellTiming.of(timing))
                for name in cells
                for timing in store.timings(name)
            ],
            [
                MeasuredCell(cells[name], one.name, MetricValue.of(one))
                for name, found in measured.items()
                for one in found
            ],
        ).to_pandas(kind)

    @property
    def _store(self) -> Store:
        return Store.existing(self.path)

    def _sweep(self, sweep_id: str) -> Sweep:
        store = self._store
        files = store.layout.sweep(sweep_id)
        found = SweepResult.read(store, files.document).moved(store.root)
        return Sweep(found, files.sheet)

    def _repr_html_(self) -> str:
        """Return the table of the sweeps, for a notebook."""
        rows = [
            (one.sweep_id, len(one.cells), one.counts.outcomes, ", ".join(_axes(one)))
            for one in self.sweeps
        ]
        return plain_html(f"store {self.path}", ("sweep", "cells", "outcomes", "axes"), rows)


def open_store(path: str | os.PathLike[str]) -> ResultStore:
    """Open a store to read its results.

    Raises :class:`turbo_lab.errors.InputError` if the folder is not a store.
    """
    return ResultStore(Store.existing(Path(path)).root)


def _axes(sweep: Sweep) -> list[str]:
    return list(dict.fromkeys(name for cell in sweep.cells for name in cell.axes))


def _varying(records: Iterable[Record]) -> list[Mapping[str, object]]:
    """Return the settings of each record in which not all records agree, by config key."""
    found = [record.parameters.by_key() for record in records]
    names = [name for name in (found[0] if found else ()) if len({str(f[name]) for f in found}) > 1]
    return [{name: one[name] for name in names} for one in found]
