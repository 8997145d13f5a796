"""The file that a run fills: one JSON document, written again after every figure.

Owns its fields. A run that was cut off reads it, and measures only what it lacks; a file of
another machine, model or precision is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.latency.grid import Point, Setup
from turbo_lab import __version__
from turbo_lab.errors import InputError
from turbo_lab.store.record import encode_floats
from turbo_lab.untrusted.paths import replace_file

SCHEMA = 1
Interval = tuple[float, float]


@dataclass(frozen=True)
class Figures:
    """One pipeline at one point."""

    pipeline: str
    """``stock``, ``exact`` or ``fast``; a second ``stock`` is called ``stock again``."""
    point: Point
    """Shape of the call."""
    process: str
    """Which process measured it: pipelines of one process were interleaved."""
    error: str | None = None
    """One line about a failure, such as running out of memory; ``None``: it was measured."""
    mean_s: float | None = None
    """Mean time of a call over all blocks, in seconds; ``None``: it failed."""
    ci95: Interval | None = None
    """95% interval of ``mean_s``, over blocks."""
    ratio: float | None = None
    """``mean_s`` over that of ``stock``; ``None`` for ``stock`` itself."""
    ratio_ci95: Interval | None = None
    """95% interval of ``ratio``, over rounds."""
    stages_s: Mapping[str, float] | None = None
    """Mean time of each stage per call, in seconds; ``None``: not split."""
    peak_memory_bytes: int | None = None
    """Peak of the device's tensors without those of other pipelines; on a CPU, of the process."""
    joules_per_image: float | None = None
    """Energy per image; ``None``: the device has no meter."""
    joules_ci95: Interval | None = None
    """95% interval of ``joules_per_image``, over blocks."""
    energy_method: str | None = None
    """``counter`` or ``power``; ``None``: no meter."""
    first_call_s: float | None = None
    """First call: compilation, graph capture, caches, allocation."""
    load_s: float | None = None
    """Imports and loading of the pipeline, once per process."""
    blocks_s: tuple[float, ...] = ()
    """Mean time of a call in each block, in order."""
    warnings: tuple[str, ...] = ()
    """Reasons to trust the figures less."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Figures:
        """Return the figures of a document."""
        pairs = {
            name: None if values[name] is None else (values[name][0], values[name][1])
            for name in ("ci95", "ratio_ci95", "joules_ci95")
        }
        lists = {name: tuple(values[name]) for name in ("blocks_s", "warnings")}
        return cls(**{**values, **pairs, **lists, "point": Point(**values["point"])})


@dataclass(frozen=True)
class Step:
    """One step of the script."""

    status: str
    """``done``, ``failed``, ``cut off`` (out of time, goes on in the next run) or ``skipped``."""
    wall_s: float
    """Time it took, in seconds."""
    detail: Mapping[str, Any]
    """What it found."""


@dataclass(frozen=True)
class Results:
    """Everything that was measured so far."""

    setup: Setup
    """Model, device and precision."""
    fingerprint: Mapping[str, Mapping[str, Any]]
    """Keys and options of the environment."""
    steps: Mapping[str, Step] = field(default_factory=dict)
    """Steps, by name, in the order in which they ran."""
    figures: tuple[Figures, ...] = ()
    """Measured pipelines, in order."""

    def of(self, process: str, point: Point) -> list[Figures]:
        """Return what a process measured at a point; empty: not measured yet."""
        return [one for one in self.figures if one.process == process and one.point == point]

    def with_step(self, name: str, step: Step) -> Results:
        """Return the results with a step that has ended."""
        return replace(self, steps={**self.steps, name: step})

    def with_figures(self, *figures: Figures) -> Results:
        """Return the results with more figures."""
        return replace(self, figures=(*self.figures, *figures))

    def write(self, path: Path) -> None:
        """Write the file by one rename."""
        values = {"schema": SCHEMA, "turbo_lab": __version__, **encode_floats(asdict(self))}
        text = json.dumps(values, indent=1, ensure_ascii=False)
        replace_file(path, f"{text}\n".encode())

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file. Raises :class:`InputError` for anything else."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["schema"] != SCHEMA:
                raise InputError(f"{path}: schema {values['schema']} is not {SCHEMA}; remove it")
            return cls(
                setup=Setup(**values["setup"]),
                fingerprint=values["fingerprint"],
                steps={name: Step(**step) for name, step in values["steps"].items()},
                figures=tuple(Figures.from_plain(one) for one in values["figures"]),
            )
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is not a file of this script ({error})") from error

    @classmethod
    def resume(
        cls, path: Path, setup: Setup, fingerprint: Mapping[str, Mapping[str, Any]]
    ) -> Results:
        """Read what an earlier run left, or begin. Raises :class:`InputError` for another run."""
        if not path.exists():
            return cls(setup, fingerprint)
        found = cls.read(path)
        before = (_same_for_all(found.setup), found.fingerprint["keys"])
        now = (_same_for_all(setup), fingerprint["keys"])
        hosts = [one["options"].get("host") for one in (found.fingerprint, fingerprint)]
        if before != now or hosts[0] != hosts[1]:
            raise InputError(
                f"{path}: was measured with another model, precision, environment or host; "
                "name another folder with --out"
            )
        return replace(found, setup=setup)


def _same_for_all(setup: Setup) -> Setup:
    """Return a setup without what may differ between runs that fill one file."""
    return replace(setup, is_quick=False, num_points=None)
