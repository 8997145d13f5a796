"""Candidate and baseline: one resolved sweep of one cell each, drawn and measured.

Owns drawing a side, for the gate, for ``compare`` and for the trials of the gate. The words
``candidate.KEY=`` and ``baseline.KEY=`` are split in :mod:`turbo_lab.api.sides`.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from turbo_lab.compare.baseline import Baseline, baseline_from
from turbo_lab.compare.paired import Key
from turbo_lab.errors import InputError, JudgementError, TurboLabError
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.progress import StderrProgress
from turbo_lab.store.record import CellStatus
from turbo_lab.store.store import images_of, read_image
from turbo_lab.workflows import results
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.sweep import run_sweep

SideName = Literal["candidate", "baseline"]
SIDES: tuple[SideName, SideName] = ("candidate", "baseline")


@dataclass(frozen=True)
class Side:
    """One side, drawn and measured by this process."""

    done: Executed
    """Executed sweep of the side's one cell."""
    measured: Baseline
    """Measurements and pixel hashes, in the form of a baseline."""

    @property
    def sweep(self) -> ResolvedSweep:
        """Resolved sweep of the side."""
        return self.done.sweep

    def first_images(self) -> Mapping[str, Path]:
        """Return the PNG file of the first image of each prompt."""
        rows = images_of(self.done.store, self.done.record)
        return {prompt: path for path, _, prompt, _ in reversed(rows)}


def require_one_cell(command: str, side: str, sweep: ResolvedSweep) -> ResolvedSweep:
    """Return ``sweep``. Raises ``InputError`` if it does not have exactly one cell."""
    if len(sweep.cells) != 1:
        raise InputError(
            f"{command}: the {side} is a grid of {len(sweep.cells)} cells; pass one value per key"
        )
    return sweep


def draw_side(name: str, sweep: ResolvedSweep) -> Side:
    """Draw and measure one side, as far as the store does not hold the results.

    ``name``: name of the side in messages. Raises :class:`JudgementError` if it cannot be drawn,
    because then there is nothing to compare.
    """
    progress = StderrProgress(name)
    try:
        done = run_sweep(sweep, progress)
    except TurboLabError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise JudgementError(
            f"{name} could not be drawn: {type(error).__name__}: {error}"
        ) from error
    finally:
        progress.end()
    record = done.record
    if record.status == CellStatus.FAILED:
        raise JudgementError(f"{name} could not be drawn: {record.error}")
    measurements = done.measurements.get(record.record_id, ())
    return Side(done, baseline_from("drawn now", done.store, record, measurements))


def features_of(side: Side) -> tuple[list[Key], np.ndarray, tuple[str, str]]:
    """Return (prompt, seed) and features of every image, and the extractor's name and digest."""
    from turbo_lab.metrics.evaluate import loaded_extractor

    rows = images_of(side.done.store, side.done.record)
    pixels = np.stack([read_image(path, pixel_sha256) for path, pixel_sha256, *_ in rows])
    extractor = loaded_extractor(results.metric_context(side.sweep.options.metrics, []))
    keys = [(prompt, seed) for _, _, prompt, seed in rows]
    return keys, extractor.image_features(pixels), (extractor.name, extractor.digest)
