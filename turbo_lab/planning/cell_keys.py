"""Ids of batches and records in one environment.

Every id is a function of values. Only the store knows which of a cell's possible records
exists; the code that writes or reads a record asks it.
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
    """``True`` if a batch may also be drawn in parts, which makes it ``split``."""

    @property
    def _possible(self) -> tuple[Exactness, ...]:
        return (self.exactness, Exactness.SPLIT) if self.may_split else (self.exactness,)

    def reuse_key(self, batch: Batch, is_split: bool = False) -> str:
        """Return the key of a batch that is drawn whole, or in parts if ``is_split``."""
        exactness = Exactness.SPLIT if is_split else self.exactness
        return reuse_key(batch.batch_id, self.environment, exactness)

    def reuse_keys(self, batch: Batch) -> tuple[str, ...]:
        """Return every key under which a batch may be reused, the preferred one first."""
        return tuple(reuse_key(batch.batch_id, self.environment, one) for one in self._possible)

    def record_id(self, cell: Cell, is_split: bool = False) -> str:
        """Return the id of a cell's record; ``is_split``: some batch of it is drawn in parts."""
        exactness = Exactness.SPLIT if is_split else self.exactness
        return record_id(cell.cell_id, self.environment, exactness)

    def record_ids(self, cell: Cell) -> tuple[str, ...]:
        """Return every id that a cell's record may get, the preferred one first."""
        return tuple(record_id(cell.cell_id, self.environment, one) for one in self._possible)
