"""Ids of batches and records as made in one environment.

Pure: every id is a function of values. Which of a cell's possible records exists is a
question for the store, asked by the code that writes or reads the record.
"""

from __future__ import annotations

from dataclasses import dataclass

from turbo_lab.environment import Keys
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import record_id, reuse_key


@dataclass(frozen=True)
class CellKeys:
    """Ids of the batches and records that one sweep may make or reuse."""

    environment: Keys
    """Keys of the environment's fingerprint."""
    exactness: Exactness
    """Exactness of a batch that is drawn whole: ``EXACT`` or ``BATCHED``."""
    may_split: bool
    """Whether a batch may also be drawn in parts, which makes it ``split``."""

    @property
    def _possible(self) -> tuple[Exactness, ...]:
        return (self.exactness, Exactness.SPLIT) if self.may_split else (self.exactness,)

    def reuse_key(self, batch: Batch, is_split: bool = False) -> str:
        """Return the key that a batch gets, drawn whole or in parts."""
        exactness = Exactness.SPLIT if is_split else self.exactness
        return reuse_key(batch.batch_id, self.environment, exactness)

    def reuse_keys(self, batch: Batch) -> tuple[str, ...]:
        """Return every key under which a batch may be reused, the preferred one first."""
        found = (reuse_key(batch.batch_id, self.environment, one) for one in self._possible)
        return tuple(found)

    def record_id(self, cell: Cell, is_split: bool = False) -> str:
        """Return the id of a cell's record; ``is_split``: any of its batches is."""
        exactness = Exactness.SPLIT if is_split else self.exactness
        return record_id(cell.cell_id, self.environment, exactness)

    def record_ids(self, cell: Cell) -> tuple[str, ...]:
        """Return every id that a cell's record may get, the preferred one first."""
        return tuple(record_id(cell.cell_id, self.environment, one) for one in self._possible)
