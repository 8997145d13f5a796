"""Answers of a probe: what the process in another environment says through its pipe.

One JSON object a line. ``{"ask": NAME, ...}`` goes in; any number of ``{"beat": true}``, then
``{"answer": ...}`` or ``{"error": TEXT}``, come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Described:
    """The packages that a process imports."""

    python: str
    """Version of Python."""
    versions: Mapping[str, str]
    """Version of every package, by normalised name: the one that is imported."""
    folders: Mapping[str, str]
    """Folder that every package is imported from, by normalised name."""
    sources: Mapping[str, str]
    """Address of every package that was installed from a wheel, a folder or git."""
    modules: Mapping[str, str]
    """File of each library that draws, such as ``diffusers``."""


@dataclass(frozen=True)
class DrawnCase:
    """One golden case that a process drew, or could not draw."""

    name: str
    """Name of the case."""
    cell_id: str | None = None
    """Id of its cell. ``None``: it could not be resolved."""
    error: str | None = None
    """Why it could not be drawn. ``None``: it was."""
    is_missing: bool = False
    """``True`` if files that it needs are not on this machine."""
    keys: Mapping[str, str | int] | None = None
    """Keys of the process's fingerprint. ``None``: the case could not be resolved."""
    options: Mapping[str, str | int] | None = None
    """Options of the process's fingerprint, likewise."""


@dataclass(frozen=True)
class DrawnCases:
    """The golden cases that a process drew; their stages are in a file."""

    cases: tuple[DrawnCase, ...]
    """The cases, in the order of the request."""


@dataclass(frozen=True)
class DrawnSweep:
    """A cell that a process drew into a store."""

    record_id: str
    """Id of its record."""


@dataclass(frozen=True)
class WarmedUp:
    """The end of a warm-up."""

    warnings: tuple[str, ...]
    """Reasons to trust the timing less."""


@dataclass(frozen=True)
class TimedBlock:
    """A block of timed calls."""

    mean_s: float
    """Mean seconds of a call."""
