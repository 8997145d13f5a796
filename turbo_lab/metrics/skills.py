"""Metrics by the skill that the prompts test, such as counting or colours.

Owns the split of a metric that is a mean over images. A distance between sets of images is not
split: the images of one skill are too few, and their reference would be another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from turbo_lab.analysis.stats import bootstrap_mean_ci, proportion_ci
from turbo_lab.documents.sweep import CellResult, MetricValue, SkillValue
from turbo_lab.metrics.clip_score import few_prompts_note
from turbo_lab.store.record import Measurement

_FRACTION = "fraction"


def split_by_skill(
    measurement: Measurement, prompts: Sequence[str], skills: Sequence[str | None]
) -> dict[str, SkillValue] | None:
    """Return the mean per skill, skills in order of first appearance.

    ``prompts``, ``skills``: one per image, in image order; images without a skill are left out.
    Intervals are those of the whole metric: Wilson's for a fraction, else the bootstrap, both by
    prompts. ``None`` if the metric has no value per image.
    """
    if measurement.per_image is None or not any(skills):
        return None
    values = np.array(measurement.per_image, dtype=np.float64)
    interval = proportion_ci if measurement.unit == _FRACTION else bootstrap_mean_ci
    found = {}
    for skill in dict.fromkeys(filter(None, skills)):
        at = [index for index, one in enumerate(skills) if one == skill]
        own = [prompts[index] for index in at]
        ci95 = interval(values[at], own)
        note = few_prompts_note(own) if ci95 is None else None
        found[skill] = SkillValue(float(values[at].mean()), len(at), ci95, note)
    return found


def with_skills(
    cell: CellResult, measurements: Sequence[Measurement], skills: Sequence[str | None]
) -> CellResult:
    """Return a cell whose metrics are split by skill; ``skills``: one per image, or none."""
    if not skills or len(skills) != len(cell.images):
        return cell
    prompts = [image.prompt for image in cell.images]
    metrics = dict(cell.metrics)
    for one in measurements:
        split = split_by_skill(one, prompts, skills)
        metrics[one.name] = replace(metrics[one.name], by_skill=split)
    return replace(cell, metrics=metrics)


def rows_by_skill(cells: Sequence[CellResult]) -> list[CellResult]:
    """Return one cell per cell and skill: ``skill`` is its last axis, its metrics are the split.

    Empty if no metric is split.
    """
    rows = []
    for cell in cells:
        split = {name: one.by_skill for name, one in cell.metrics.items() if one.by_skill}
        for skill in dict.fromkeys(name for found in split.values() for name in found):
            metrics = {
                name: replace(
                    cell.metrics[name],
                    value=found[skill].value,
                    n=found[skill].n,
                    ci95=found[skill].ci95,
                    note=found[skill].note,
                    by_skill=None,
                )
                for name, found in split.items()
                if skill in found
            }
            rows.append(_row(cell, skill, metrics))
    return rows


def _row(cell: CellResult, skill: str, metrics: Mapping[str, MetricValue]) -> CellResult:
    """Return a cell with the metrics of one skill, without what is about all of its images."""
    return replace(
        cell,
        axes={**cell.axes, "skill": skill},
        metrics=metrics,
        latency_s=None,
        timing=None,
        throughput_images_per_s=None,
    )
