"""Comparison of a model with its baselines, on the same prompts and seeds. Prints nothing.

There are three fair ways to compare them: each at its own recommended settings, all at the
candidate's number of steps, and the baseline at the number of steps that takes as long as the
candidate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.analysis.pareto import Estimate, pareto
from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.beginnings import Beginning, check_same_beginning
from turbo_lab.compare.paired import (
    ScoredImages,
    apply_holm,
    compare_metric,
    winners_and_losers,
)
from turbo_lab.compare.sides import draw_side
from turbo_lab.documents.compare import (
    CompareReport,
    ContenderEnergy,
    ContenderLatency,
    ContenderMetric,
    ContenderResult,
    FidelityMetric,
    PromptExtremes,
    PublishedTables,
    SourceImages,
)
from turbo_lab.documents.gate import CheckResult
from turbo_lab.documents.sweep import latest_timing
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.planning.random_weights import refuse_random_weights
from turbo_lab.planning.resolved_sweep import ResolvedSweep, measuring, vary
from turbo_lab.request.recipe import fewest_steps
from turbo_lab.request.request import Request
from turbo_lab.store.record import Timing
from turbo_lab.untrusted.redaction import redact
from turbo_lab.verdict import Verdict, worst

if TYPE_CHECKING:
    from turbo_lab.golden.distances import Embed
    from turbo_lab.report.html.pictures import Picture

METRICS = ("clip_score", "r_precision")
_MOST_STEPS = 50
# Calls whose medians differ by less than this, relatively, count as equally long.
_EQUAL_LATENCY = 0.1


@dataclass(frozen=True)
class Entrant:
    """One side to compare, at its own settings."""

    sweep: ResolvedSweep
    """Resolved sweep with exactly one cell."""
    label_words: tuple[str, ...] = ()
    """Label words that distinguish it from other entrants of its model and steps."""
    is_chosen: bool = False
    """``True`` if a person chose exactly this cell: it is compared at no other settings."""

    @property
    def label(self) -> str:
        """Model, number of steps and label words."""
        request = self.sweep.cells[0].request
        steps = request.num_inference_steps
        unit = "step" if steps == 1 else "steps"
        return " ".join([request.model, str(steps), unit, *map(redact, self.label_words)])

    def at(self, steps: int) -> Entrant:
        """Return the entrant with another number of steps."""

        def change(request: Request) -> Request:
            return dataclasses.replace(request, num_inference_steps=steps)

        return replace(self, sweep=vary(self.sweep, change))


@dataclass(frozen=True)
class Contender:
    """One entrant, drawn and timed."""

    label: str
    """Label of the entrant, such as ``nano-sdxl 25 steps``."""
    measured: Baseline
    """Measurements, in the form of a baseline."""
    timing: Timing
    """Result of the timing lane."""
    images: Mapping[str, Path]
    """PNG file of the first image of each prompt."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Name of each source image's file, by digest; empty for text to image."""

    @property
    def steps(self) -> int:
        """Number of denoising steps."""
        return self.measured.parameters.num_inference_steps


@dataclass(frozen=True)
class Comparison:
    """Result of comparing a candidate with its baselines."""

    verdict: Verdict
    """Worst verdict of all rows."""
    candidate: Contender
    """Candidate of the comparison."""
    contenders: Mapping[str, Contender]
    """Candidate and baselines, by label."""
    rows: tuple[CheckResult, ...]
    """Paired differences, after Holm's correction over all of them."""


def compare_entrants(candidate: Entrant, baselines: Sequence[Entrant]) -> Comparison:
    """Draw and time all entrants, each baseline in three fair ways, and compare them.

    Raises ``InputError`` if no baseline differs from the candidate, a model has random weights
    or two entrants begin from different images, ``JudgementError`` if an entrant cannot be drawn,
    timed or scored.
    """
    remedy = "compare the speed of two pipelines with turbo-lab bench candidate.KEY=VALUE"
    for entrant in (candidate, *baselines):
        refuse_random_weights(entrant.sweep, "compare", remedy)
    own = Beginning.of(candidate.label, candidate.sweep)
    for entrant in baselines:
        check_same_beginning("compare", own, Beginning.of(entrant.label, entrant.sweep))
    drawn = draw(candidate)
    found: dict[str, tuple[str, Contender]] = {}
    for entrant in baselines:
        for way, baseline in _ways(drawn, entrant):
            found.setdefault(baseline.measured.record_id, (way, baseline))
    if not found:
        raise InputError(
            f"compare: the baseline equals the candidate ({drawn.label}); pass a key that differs, "
            "such as candidate.dtype=bfloat16"
        )
    contenders, rows = {drawn.label: drawn}, []
    for way, baseline in found.values():
        contenders[baseline.label] = baseline
        rows += _rows(drawn, baseline, way)
    corrected = tuple(apply_holm(rows))
    return Comparison(worst([row.verdict for row in corrected]), drawn, contenders, corrected)


def size_warnings(candidate: Entrant, baselines: Sequence[Entrant]) -> list[str]:
    """Return a warning for each baseline whose images have another size than the candidate's."""
    size = _size(candidate)
    return [
        f"{entrant.label} is drawn at {_size(entrant)} and {candidate.label} at {size}: metrics of "
        "two sizes differ by the size, and no two images are compared; give resolution once, for "
        "both"
        for entrant in baselines
        if _size(entrant) != size
    ]


def _size(entrant: Entrant) -> str:
    recipe = entrant.sweep.cells[0].recipe
    return f"{recipe.width}x{recipe.height}"


def draw(entrant: Entrant) -> Contender:
    """Draw, measure and time one entrant, as far as the store does not hold the results.

    Raises :class:`JudgementError` if it cannot be drawn, timed or scored.
    """
    label = entrant.label
    side = draw_side(label, measuring(entrant.sweep, METRICS, "short"))
    timing = latest_timing(side.done.store, side.done.record)
    if timing is None:
        raise JudgementError(f"compare: {label}: could not be timed")
    scored = {m.name for m in side.measured.measurements}
    notes = {m.name: m.note for m in side.done.measurements[side.done.record.record_id]}
    lacking = [f"{name}: {notes.get(name)}" for name in METRICS if name not in scored]
    if lacking:
        raise JudgementError(f"compare: {label}: has no values per image ({'; '.join(lacking)})")
    origins = side.done.record.provenance.sources or {}
    names = {digest: origin.name for digest, origin in origins.items()}
    return Contender(label, side.measured, timing, side.first_images(), names)


def _ways(candidate: Contender, entrant: Entrant) -> list[tuple[str, Contender]]:
    """Draw a baseline at each of its settings, once: its own, equal steps, equal latency."""
    own = draw(entrant)
    if entrant.is_chosen:
        is_same = own.measured.record_id == candidate.measured.record_id
        return [] if is_same else [("as chosen", own)]
    equal = own if own.steps == candidate.steps else draw(entrant.at(candidate.steps))
    drawn = [("own settings", own), ("equal steps", equal)]
    wanted = steps_of_equal_latency(candidate, own, equal)
    if wanted is not None:
        fewest = fewest_steps(entrant.sweep.cells[0].request.strength)
        nearest = draw(entrant.at(max(fewest, min(_MOST_STEPS, wanted))))
        ratio = nearest.timing.latency_s.p50 / candidate.timing.latency_s.p50
        is_equal = abs(ratio - 1) <= _EQUAL_LATENCY
        drawn.append(("equal latency" if is_equal else "nearest latency", nearest))
    ways: dict[str, tuple[list[str], Contender]] = {}
    for way, contender in drawn:
        ways.setdefault(contender.measured.record_id, ([], contender))[0].append(way)
    ways.pop(candidate.measured.record_id, None)
    return [(", ".join(names), contender) for names, contender in ways.values()]


def steps_of_equal_latency(candidate: Contender, own: Contender, equal: Contender) -> int | None:
    """Return the number of steps at which the baseline takes as long as the candidate.

    It is read from the line through both measured points, or from the time of a UNet call if they
    are one point. 0 or less: the baseline takes longer even at one step. ``None``: more steps do
    not take longer.
    """
    if own.steps != equal.steps:
        step_s = (own.timing.latency_s.p50 - equal.timing.latency_s.p50) / (own.steps - equal.steps)
    else:
        step_s = (own.timing.stages_s or {}).get("unet", 0.0) / own.steps
    if step_s <= 0:
        return None
    return round(
        equal.steps + (candidate.timing.latency_s.p50 - equal.timing.latency_s.p50) / step_s
    )


def _rows(candidate: Contender, baseline: Contender, way: str) -> list[CheckResult]:
    """Compare with a margin of zero: ``pass`` is at least as good, ``regression`` is worse."""
    rows = []
    for measured in candidate.measured.measurements:
        here, there = (side.measured.scored(measured.name) for side in (candidate, baseline))
        if here is not None and there is not None:
            row = compare_metric(here, there, margin=0.0)
            rows.append(replace(row, name=f"{measured.name} / {baseline.label} ({way})"))
    return rows


def compare_report(found: Comparison, published: PublishedTables | None = None) -> CompareReport:
    """Return what a comparison reports; ``published``: values to show in separate tables."""
    contenders = found.contenders
    return CompareReport(
        verdict=found.verdict,
        candidate=found.candidate.label,
        rows=found.rows,
        contenders=tuple(_contender(item) for item in contenders.values()),
        pareto=tuple(_pareto(list(contenders.values()))),
        prompts=_prompts(found.candidate, contenders),
        fidelity=_fidelity(found.candidate, contenders),
        sources=_sources(found.candidate),
        published=published,
    )


def _sources(candidate: Contender) -> SourceImages | None:
    """Return what all contenders begin from: the comparison refused any other."""
    settings = candidate.measured.parameters
    if settings.image is None or settings.strength is None:
        return None
    return SourceImages(settings.image, settings.strength, candidate.sources)


def pictures(
    found: Comparison, prompts: Mapping[str, PromptExtremes]
) -> dict[str, dict[str, Picture]]:
    """Return each contender's first image of every prompt in ``prompts``."""
    from turbo_lab.report.html.pictures import read_pictures

    named = {prompt for sides in prompts.values() for prompt, _ in (*sides.gains, *sides.losses)}
    shown = {
        label: {prompt: image for prompt, image in item.images.items() if prompt in named}
        for label, item in found.contenders.items()
    }
    read = read_pictures([path for images in shown.values() for path in images.values()])
    return {
        label: {prompt: read[str(image)] for prompt, image in images.items() if str(image) in read}
        for label, images in shown.items()
    }


def _fidelity(
    candidate: Contender, contenders: Mapping[str, Contender]
) -> dict[str, tuple[FidelityMetric, ...]]:
    """Return how far the candidate's images are from those of each variant of the same model."""
    from turbo_lab.golden.embedding import image_embedding

    embed = image_embedding()
    return {
        label: _image_distances(candidate, other, embed)
        for label, other in contenders.items()
        if label != candidate.label and _is_variant(other, candidate)
    }


def _is_variant(other: Contender, candidate: Contender) -> bool:
    """Return whether two contenders should draw nearly the same images: one model, one size."""
    mine, theirs = candidate.measured.parameters, other.measured.parameters
    return (theirs.model, theirs.resolution) == (mine.model, mine.resolution)


def _image_distances(
    candidate: Contender, other: Contender, embed: Embed
) -> tuple[FidelityMetric, ...]:
    """Compare the first image of each prompt that both contenders have."""
    import numpy as np

    from turbo_lab import images
    from turbo_lab.metrics.paired import paired_fidelity

    prompts = [prompt for prompt in candidate.images if prompt in other.images]
    first, second = (
        np.stack([images.read_png(side.images[prompt])[0] for prompt in prompts])
        for side in (candidate, other)
    )
    return tuple(paired_fidelity(first, second, prompts, (embed(first), embed(second))))


def _contender(item: Contender) -> ContenderResult:
    call, energy = item.timing.latency_s, item.timing.energy
    return ContenderResult(
        label=item.label,
        metrics={
            one.name: ContenderMetric(one.value, one.ci95, one.n, one.direction)
            for one in item.measured.measurements
        },
        latency_s=ContenderLatency(call.p50, call.ci95, call.n, item.timing.batch_size),
        energy=None
        if energy is None
        else ContenderEnergy(energy.joules_per_image, energy.ci95, energy.n, energy.method),
    )


def _pareto(contenders: Sequence[Contender]) -> list[str]:
    """Return the labels on the Pareto front of CLIP score against latency, by their intervals."""
    points = {}
    for item in contenders:
        score, latency = _clip_score(item).measurement, item.timing.latency_s
        if score.value is not None:
            points[item.label] = (
                Estimate(score.value, score.ci95),
                Estimate(latency.p50, latency.ci95),
            )
    return pareto(points)


def _prompts(
    candidate: Contender, contenders: Mapping[str, Contender]
) -> dict[str, PromptExtremes]:
    """Return, for each baseline, the prompts where the candidate gains and loses most."""
    found = {}
    for label, other in contenders.items():
        if label != candidate.label:
            won, lost = winners_and_losers(_clip_score(candidate), _clip_score(other))
            found[label] = PromptExtremes(gains=tuple(won), losses=tuple(lost))
    return found


def _clip_score(item: Contender) -> ScoredImages:
    found = item.measured.scored(METRICS[0])
    assert found is not None  # draw() refuses a contender without it
    return found
