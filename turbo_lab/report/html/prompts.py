"""Table of a sweep's prompts: the mean of each over the cells, with its worst and best cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab.documents.sweep import CellResult
from turbo_lab.report.columns import CellDetails, Column, label
from turbo_lab.report.html.page import Heading, Html, cell, table
from turbo_lab.verdict import Direction

Cells = Sequence[CellResult]


@dataclass(frozen=True)
class Scores:
    """Values per image of the metric that is shown next to the images."""

    details: Mapping[str, CellDetails]
    """Details of the cells, by record id."""
    column: Column | None
    """Column of the metric. ``None``: no metric has values per image."""

    def of(self, row: CellResult) -> Sequence[float] | None:
        """Return the values of a cell's images; ``None`` if there are none."""
        found = self.details.get(row.record_id)
        return None if found is None or self.column is None else found.per_image.get(self.name)

    @property
    def name(self) -> str:
        """Name of the metric; empty if there is none."""
        return "" if self.column is None else self.column.name


def prompt_table(cells: Cells, axes: Sequence[str], scores: Scores) -> Html | None:
    """Return each prompt's mean over the cells, with its worst and its best cell."""
    found = _means_by_prompt(cells, scores)
    if not found:
        return None
    is_lower = scores.column is not None and scores.column.direction == Direction.LOWER
    sign = -1 if is_lower else 1
    rows: list[tuple[float, tuple[object, ...]]] = []
    for prompt, means in found.items():
        worst, best = (pick(means, key=lambda item: sign * item[0]) for pick in (min, max))
        mean = float(np.mean([value for value, _ in means]))
        extremes = (*_extreme(cells, axes, worst), *_extreme(cells, axes, best))
        spread = f"{abs(best[0] - worst[0]):.3f}"
        rows.append((sign * mean, (prompt, f"{mean:.3f}", *extremes, spread)))
    rows.sort(key=lambda row: row[0])
    numbers = ("worst", "best", "range", f"mean {scores.name}")
    names = ("prompt", f"mean {scores.name}", "worst", "in", "best", "in", "range")
    heads = [Heading(name, is_number=name in numbers) for name in names]
    return table(heads, [row for _, row in rows], class_="prompts cards")


def _means_by_prompt(cells: Cells, scores: Scores) -> dict[str, list[tuple[float, int]]]:
    """Return, by prompt, the mean value of each cell with the cell's index."""
    found: dict[str, list[tuple[float, int]]] = {}
    for index, row in enumerate(cells):
        by_prompt: dict[str, list[float]] = {}
        for entry, value in zip(row.images, scores.of(row) or (), strict=False):
            by_prompt.setdefault(entry.prompt, []).append(value)
        for prompt, values in by_prompt.items():
            found.setdefault(prompt, []).append((float(np.mean(values)), index))
    return found


def _extreme(cells: Cells, axes: Sequence[str], found: tuple[float, int]) -> tuple[str, Html]:
    value, index = found
    return f"{value:.3f}", cell(label(cells[index], axes), class_="soft")
