"""One row per entrant of a comparison: quality next to the reference's, and cost.

Owns which figures the table has. A figure that cannot be given is ``None``, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from turbo_lab.analysis.stats import Interval
from turbo_lab.compare.entrant import Contender
from turbo_lab.compare.paired import compare_metric
from turbo_lab.compare.sides import features_of
from turbo_lab.documents.compare import EntrantResult, FidelityMetric
from turbo_lab.errors import TurboLabError

_CLIP = "clip_score"


@dataclass
class Distances:
    """Distances between the images of contenders; each two are compared once."""

    known: dict[frozenset[str], tuple[FidelityMetric, ...]] = field(default_factory=dict)
    """Distances by the labels of both."""

    def between(self, one: Contender, other: Contender) -> tuple[FidelityMetric, ...]:
        """Return :func:`image_distances` of two contenders."""
        key = frozenset((one.label, other.label))
        if key not in self.known:
            self.known[key] = image_distances(one, other)
        return self.known[key]


def entrant_results(
    contenders: Mapping[str, Contender],
    reference: Contender,
    failed: Mapping[str, str],
    distances: Distances,
) -> tuple[EntrantResult, ...]:
    """Return the reference's row, one for each other contender, and one for each that failed."""
    others = [one for one in contenders.values() if one is not reference]
    rows = [
        _result(reference, None, ()),
        *(_result(one, reference, distances.between(one, reference)) for one in others),
    ]
    return (*rows, *(EntrantResult(label, error) for label, error in failed.items()))


def _result(
    entrant: Contender, reference: Contender | None, distances: tuple[FidelityMetric, ...]
) -> EntrantResult:
    """Return the row of one entrant; ``reference`` of ``None``: it is the reference itself."""
    timing = entrant.timing
    compared = entrant if reference is None else reference
    score, score_ci95 = _score_difference(entrant, reference)
    frechet, frechet_ci95 = _frechet_difference(entrant, reference)
    return EntrantResult(
        label=entrant.label,
        lpips=_mean(distances, "lpips"),
        psnr_db=_mean(distances, "psnr"),
        worst_tile_ssim=next((d.worst for d in distances if d.name == "ssim_min_tile"), None),
        clip_score_difference=score,
        clip_score_ci95=score_ci95,
        frechet_difference=frechet,
        frechet_ci95=frechet_ci95,
        latency_p50_s=timing.latency_s.p50,
        latency_ratio=timing.latency_s.p50 / compared.timing.latency_s.p50,
        peak_memory_bytes=timing.peak_memory_bytes,
        joules_per_image=None if timing.energy is None else timing.energy.joules_per_image,
        weights_bytes=timing.weights_bytes,
    )


def _mean(distances: tuple[FidelityMetric, ...], name: str) -> float | None:
    return next((one.mean for one in distances if one.name == name), None)


def _score_difference(
    entrant: Contender, reference: Contender | None
) -> tuple[float | None, Interval | None]:
    """Return the paired difference of the CLIP score from the reference, and its interval."""
    mine = entrant.measured.scored(_CLIP)
    other = None if reference is None else reference.measured.scored(_CLIP)
    if mine is None or other is None:
        return None, None
    row = compare_metric(mine, other, margin=0.0)
    return row.difference, row.ci95


def _frechet_difference(
    entrant: Contender, reference: Contender | None
) -> tuple[float | None, Interval | None]:
    """Return the difference of the Fréchet distance from the reference's, and its interval.

    Nothing without a reference set, or with fewer images than features.
    """
    from turbo_lab.metrics.frechet import difference_interval, frechet_distance
    from turbo_lab.metrics.reference import check_extractor, load_reference
    from turbo_lab.workflows.results import metric_context

    if reference is None or reference.side is None or entrant.side is None:
        return None, None
    context = metric_context(entrant.side.sweep.options.metrics, [])
    if context.reference is None:
        return None, None
    found = load_reference(context.reference.path, context.reference.name)
    (keys, first, judge), (others, second, _) = map(features_of, (entrant.side, reference.side))
    try:
        check_extractor(found, *judge)
    except TurboLabError:  # a reference of another extractor measures nothing here
        return None, None
    row_of = {key: row for row, key in enumerate(others)}
    if set(row_of) != set(keys) or len(keys) != len(others):
        return None, None
    second = np.asarray(second)[[row_of[key] for key in keys]]
    if len(first) < first.shape[1]:
        return None, None
    difference = frechet_distance(first, found) - frechet_distance(second, found)
    return difference, difference_interval(first, second, found, [prompt for prompt, _ in keys])


def image_distances(candidate: Contender, other: Contender) -> tuple[FidelityMetric, ...]:
    """Compare the first image of each prompt that both contenders have.

    Empty unless both should draw nearly the same images: one model, one size, one set of prompts.
    """
    import numpy as np

    from turbo_lab import images
    from turbo_lab.golden.embedding import image_embedding
    from turbo_lab.metrics.paired import paired_fidelity

    mine, theirs = candidate.measured.parameters, other.measured.parameters
    if (theirs.model, theirs.resolution) != (mine.model, mine.resolution):
        return ()
    prompts = [prompt for prompt in candidate.images if prompt in other.images]
    if not prompts:
        return ()
    first, second = (
        np.stack([images.read_png(side.images[prompt])[0] for prompt in prompts])
        for side in (candidate, other)
    )
    embed = image_embedding()
    return tuple(paired_fidelity(first, second, prompts, (embed(first), embed(second))))
