"""Diversity: how far apart one prompt's images from several seeds are.

A mode-collapsed few-step model keeps its CLIP score and loses this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from turbo_lab.analysis.stats import MIN_CLUSTERS, bootstrap_mean_ci, cluster_index
from turbo_lab.metrics.inputs import Floats, MetricInputs, Score, unit_rows

ADVISED_SEEDS = 4


def compute(inputs: MetricInputs) -> Score:
    """Compute the metric of one cell; see :func:`diversity`."""
    if len(set(zip(inputs.prompts, inputs.seeds, strict=True))) < 2:
        return Score(None, 0, note="unscored: needs at least 2 images")
    return diversity(inputs.image_features, inputs.prompts)


def diversity(image_features: Floats, prompts: Sequence[str], seed: int = 0) -> Score:
    """Compute the mean over prompts of the mean pairwise ``1 - cosine`` of their images.

    ``image_features``: (N, d). In [0, 2], higher is more diverse; n counts the
    prompts with at least two images, 4 or more images each are advised. Unbiased
    in the number of seeds (distinct pairs only). Unscored where no prompt has
    two images. Raises ``ValueError`` for features that are zero or not finite.
    """
    rows, index = unit_rows(image_features), cluster_index(prompts)
    groups = [rows[index == i] for i in range(int(index.max(initial=-1)) + 1)]
    groups = [group for group in groups if len(group) >= 2]
    if not groups:
        return Score(None, 0, note="unscored: no prompt has 2 images; raise num_images")
    values = np.array([_mean_pairwise_distance(group) for group in groups])
    ci95, notes = bootstrap_mean_ci(values, seed=seed), []
    if ci95 is None:
        notes.append(f"no interval: {len(groups)} prompts, fewer than {MIN_CLUSTERS}")
    fewest = min(len(group) for group in groups)
    if fewest < ADVISED_SEEDS:
        notes.append(f"{fewest} seeds per prompt, fewer than the advised {ADVISED_SEEDS}")
    return Score(float(values.mean()), len(groups), ci95, "; ".join(notes) or None)


def _mean_pairwise_distance(unit: Floats) -> float:
    """Return the mean over pairs of (k, d) unit rows, from the squared norm of their sum."""
    k = len(unit)
    total = unit.sum(axis=0)
    distance = 1.0 - (float(total @ total) - k) / (k * (k - 1))
    return max(0.0, distance)  # equal rows round to -1e-16
