"""Input and outcome of one run of the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from turbo_lab.environment import Fingerprint
from turbo_lab.planning.cell_keys import CellKeys
from turbo_lab.planning.options import TimingRuleName
from turbo_lab.request.recipe import Cell
from turbo_lab.store.provenance import Provenance
from turbo_lab.store.record import Record
from turbo_lab.store.store import Store


@dataclass(frozen=True)
class CellOrigin:
    """Origin of a cell's weights and prompts."""

    names: Mapping[str, str]
    """Names of its model, adapters and VAE, by digest; written into its PNG files."""
    provenance: Provenance
    """Models, adapters, licences, prompt set and source images; written into its record."""
    source_names: Mapping[str, str] = field(default_factory=dict)
    """Names of its source images' files, by digest; written into its PNG files."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Hashes that other programs know its weights by, by digest; written into its PNG files."""


@dataclass(frozen=True)
class SweepHooks:
    """Functions that are called while a sweep runs."""

    on_record: Callable[[Cell, Record], None] = lambda cell, record: None
    """Called once per cell after its record is written; may run on the commit thread."""
    on_batch: Callable[[], None] = lambda: None
    """Called on the commit thread after each batch is committed."""
    quiet: Callable[[], AbstractContextManager[None]] = nullcontext
    """Context entered while latency is measured, so that background work pauses."""


@dataclass(frozen=True)
class DrawingTime:
    """Time that a cell's batches took to draw in this run; work that cells share counts once."""

    began_at: float
    """Moment when the first one began, in seconds since 1970 UTC."""
    duration_s: float
    """Duration of all of them, in seconds."""


@dataclass(frozen=True)
class SweepContext:
    """Everything that all cells of a sweep share."""

    store: Store
    """The store that results go to."""
    keys: CellKeys
    """Ids of its batches and records."""
    fingerprint: Fingerprint
    """Fingerprint of this environment."""
    timing: TimingRuleName | None
    """Rule of the timing lane; ``None``: cells are not timed."""
    origins: Mapping[str, CellOrigin]
    """Origin of every cell, by cell id."""
    fail_fast: bool = False
    """``True``: no cell is drawn after one has failed; ``False``: the others go on."""
    hooks: SweepHooks = SweepHooks()
    """Functions to call on the way."""
    drawn: dict[str, DrawingTime] = field(default_factory=dict)
    """Time of each cell that is drawn, by cell id; filled on the way, before the cell's record."""


class Progress(Protocol):
    """A reporter of progress."""

    def begin(self, images: int) -> None:
        """Report that ``images`` are left to make."""

    def advance(self, images: int) -> None:
        """Report that ``images`` more are committed."""

    def note(self, text: str) -> None:
        """Report one line of text."""


@dataclass
class SweepOutcome:
    """Records and times of one run of the driver."""

    records: dict[str, Record] = field(default_factory=dict)
    """Record by cell id, failed cells included."""
    load_s: float = 0.0
    """Seconds spent on imports and loading."""
    wall_s: float = 0.0
    """Seconds from the first batch's start to the last commit, loading and timing left out."""
    timing_s: float = 0.0
    """Seconds spent in the timing lane."""
    drawn: Mapping[str, DrawingTime] = field(default_factory=dict)
    """Time of each cell that was drawn in this run, by cell id."""
    work: dict[str, int] = field(default_factory=dict)
    """Number of rows evaluated, by kind."""
    bug: Exception | None = None
    """The first bug in turbo-lab that a cell met; ``None``: there was none."""
