"""The ``plan`` document: what a sweep would run, and what it would share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from turbo_lab.untrusted.typed_json import OMITTED


@dataclass(frozen=True)
class PlanCounts:
    """Numbers of cells."""

    requested: int
    """Points of the grid."""
    distinct: int
    """Cells, after equal points are merged."""
    in_store: int
    """Cells whose images are all in the store."""
    to_run: int
    """Cells with missing images."""


@dataclass(frozen=True)
class RowsPlanned:
    """Rows of one network."""

    alone: int
    """Rows if each cell was drawn alone."""
    planned: int
    """Rows that will be computed."""


@dataclass(frozen=True)
class PlanWork:
    """Work of a plan, and what sharing it saves."""

    unet_rows: RowsPlanned
    """UNet evaluations of one image."""
    vae_rows: RowsPlanned
    """Decoded images."""
    text_rows: RowsPlanned
    """Encoded prompts."""
    source_rows: RowsPlanned | None = field(default=None, metadata=OMITTED)
    """Encoded source images. Absent without source images."""


@dataclass(frozen=True)
class Forecast:
    """Expected time, memory and disk space of the plan, from measurements in this store."""

    wall_s: float | None
    """Time, in seconds. ``None``: nothing like it was measured on this machine."""
    peak_memory_bytes: int | None
    """Peak memory, in bytes. ``None``: unknown, or nothing is left to run."""
    disk_bytes: int | None
    """Disk space, in bytes. ``None``: the store has no image of that size."""


@dataclass(frozen=True)
class PlanCell:
    """One cell of a plan."""

    cell_id: str
    """sha256 of the cell's recipe."""
    axes: Mapping[str, object]
    """Values of the keys that vary, by key."""
    aliases: tuple[Mapping[str, object], ...]
    """Axes of other points of the grid that are the same cell."""
    status: Literal["in_store", "to_run"]
    """``in_store`` if all its images are in the store, otherwise ``to_run``."""


@dataclass(frozen=True)
class PlanResult:
    """The ``plan`` document."""

    counts: PlanCounts
    """Numbers of cells."""
    work: PlanWork
    """Rows that will be computed, next to those of each cell alone."""
    forecast: Forecast
    """Expected time, memory and disk space."""
    cells: tuple[PlanCell, ...]
    """The cells, in the order of the grid."""
    warnings: tuple[str, ...]
    """Settings that would fail or give poor images."""
