"""Distances between a run and its golden: the metrics that tiers T1 and T2 compare.

Owns which metrics each tier has and how they are computed. Larger is always worse. A metric
that cannot be computed has a reason instead of a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab.analysis.similarity import tile_ssim, window_density
from turbo_lab.documents.golden import StageDifference, Tier
from turbo_lab.golden.stages import STAGE_KINDS, Values, stage_kind

Embed = Callable[[Values], Values]
"""Embeds images: (N, H, W, 3) uint8 to (N, d)."""

WINDOW_TOLERANCE: Mapping[Tier, int] = {"T1": 2, "T2": 16}
"""Largest difference of a channel, in levels of 255, at which a pixel counts as equal, by tier."""
TIER_METRICS: Mapping[Tier, tuple[str, ...]] = {
    "T0": (),
    "T1": ("latents_max_abs", "latents_relative_l2", "vae_relative_l2", "window_density"),
    "T2": ("window_density", "tile_ssim_loss", "embedding_distance"),
}
"""Metrics of each tier."""
STAGE_METRIC = "stage_relative_l2"
"""Metric whose thresholds, one per kind of stage, locate a divergence and judge nothing."""

_NEEDED_STAGE = {
    "latents_max_abs": "latents",
    "latents_relative_l2": "latents",
    "vae_relative_l2": "vae",
    # The extractor that ships knows what pipelines draw, and nothing about a test's own images.
    "embedding_distance": "latents",
}
_FROM_STAGES: Mapping[str, Callable[[StageDifference], float | None]] = {
    "latents_max_abs": lambda stage: stage.max_abs,
    "latents_relative_l2": lambda stage: stage.relative_l2,
    "vae_relative_l2": lambda stage: stage.relative_l2,
}


@dataclass(frozen=True)
class Distance:
    """Value of one metric, or the reason why it has none."""

    value: float | None
    """Distance from the golden; ``None`` if it could not be computed."""
    reason: str | None = None
    """Reason why there is no value; ``None`` if there is one."""


def stage_metric(stage: str) -> str:
    """Return the name of the metric of a stage that a pipeline does not have."""
    return f"{stage}_relative_l2"


def threshold_name(stage: str) -> str:
    """Return the name of the threshold that locates a divergence at a stage of this kind."""
    return f"{STAGE_METRIC}/{stage_kind(stage)}"


def measure_distances(
    expected: Values,
    actual: Values,
    stages: Sequence[StageDifference],
    tier: Tier,
    embed: Embed | None,
) -> dict[str, Distance]:
    """Return the value of each metric that a tier has for these stages.

    ``expected``, ``actual``: images of the golden and of the run, (N, H, W, 3) uint8.
    ``embed``: image embedding of T2; with ``None``, its metric has no value.
    """
    last_of_kind = {stage_kind(stage.stage): stage for stage in stages}
    # A golden of images alone has no latents to compare; one that has them needs the metric.
    names = [n for n in TIER_METRICS[tier] if _NEEDED_STAGE.get(n, "pixels") in last_of_kind]
    if expected.shape != actual.shape:
        reason = f"images are {actual.shape}, the golden's {expected.shape}"
        return {name: Distance(None, reason) for name in names}
    distances = {
        name: _stage_distance(_FROM_STAGES[name](last_of_kind[_NEEDED_STAGE[name]]))
        for name in names
        if name in _FROM_STAGES
    }
    distances |= {
        name: _image_distance(name, expected, actual, tier=tier, embed=embed)
        for name in names
        if name not in _FROM_STAGES
    }
    return distances | (_own_stage_distances(stages) if tier == "T1" else {})


def _own_stage_distances(stages: Sequence[StageDifference]) -> dict[str, Distance]:
    """Return the distances of the stages whose differences no metric of T1 shows.

    A pipeline's own stages show in its latents. Stages that a test passes in, and those of a
    pipeline without its latents, need a metric each.
    """
    kinds = {stage_kind(stage.stage) for stage in stages}
    covered = STAGE_KINDS if "latents" in kinds else ("vae", "pixels")
    return {
        stage_metric(stage.stage): _stage_distance(stage.relative_l2)
        for stage in stages
        if stage_kind(stage.stage) not in covered
    }


def _stage_distance(value: float | None) -> Distance:
    if value is None:
        return Distance(None, "the shapes differ, or the golden does not keep the tensor")
    return Distance(value)


def _image_distance(
    name: str, expected: Values, actual: Values, tier: Tier, embed: Embed | None
) -> Distance:
    pairs = list(zip(expected, actual, strict=True))
    if name == "window_density":
        levels = WINDOW_TOLERANCE[tier]
        return Distance(max(window_density(a, b, tolerance=levels) for a, b in pairs))
    if name == "tile_ssim_loss":
        return Distance(max(1.0 - tile_ssim(a, b)[1] for a, b in pairs))
    assert name == "embedding_distance", name
    return _embedding_distance(expected, actual, embed)


def _embedding_distance(expected: Values, actual: Values, embed: Embed | None) -> Distance:
    """Return the largest cosine distance between the embeddings of two images of a pair."""
    if embed is None:
        return Distance(None, "no extractor")
    first, second = (np.asarray(embed(images), dtype=np.float64) for images in (expected, actual))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = np.einsum("nd,nd->n", first, second) / norms
    largest = float(np.max(1.0 - cosines))
    return Distance(largest) if math.isfinite(largest) else Distance(None, "not finite")
