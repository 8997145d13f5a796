"""A sweep that has run: its records, measurements and times, as every reader of them needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.execute.context import SweepOutcome
from turbo_lab.planning.plan import Plan
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.store.record import Measurement, Record
from turbo_lab.store.store import Store


@dataclass(frozen=True)
class Executed:
    """A sweep that has run."""

    sweep: ResolvedSweep
    """The sweep as it was resolved."""
    plan: Plan
    """Work that was left to do."""
    store: Store
    """The store that its results are in."""
    outcome: SweepOutcome
    """Records of its cells, and times."""
    measurements: Mapping[str, Sequence[Measurement]]
    """Measurements of the sweep's metrics, by record id."""
    metrics_s: float
    """Time spent on measuring, in seconds."""

    @property
    def record(self) -> Record:
        """Record of the sweep's only cell."""
        (record,) = self.outcome.records.values()
        return record

    @property
    def from_store(self) -> int:
        """Number of images that were in the store already."""
        planned = self.plan.cells
        missing = sum(len(batch.layout.seeds) for one in planned for batch in one.missing)
        return sum(one.cell.num_images for one in planned) - missing
