"""A model against its baselines on the same prompts and seeds. Prints nothing.

Three fair ways to compare them: each at its own recommended settings, all at the
candidate's number of steps, and the baseline at the number of steps that takes as long as
the candidate does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.analysis.pareto import pareto
from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import compare_figure, hold_family, winners_and_losers
from turbo_lab.compare.sides import draw_side
from turbo_lab.documents.compare import (
    CompareReport,
    ContenderEnergy,
    ContenderFigure,
    ContenderLatency,
    ContenderResult,
    FidelityFigure,
    PromptExtremes,
    PublishedTables,
)
from turbo_lab.documents.gate import CheckResult
from turbo_lab.documents.sweep import latest_timing
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.planning.resolved_sweep import ResolvedSweep, measuring, vary
from turbo_lab.request.request import Request
from turbo_lab.store.record import Timing
from turbo_lab.verdict import Verdict, worst

if TYPE_CHECKING:
    from turbo_lab.report.html.pictures import Picture

METRICS = ("clip_score", "r_precision")
_MOST_STEPS = 50
# Calls whose medians differ by less than this, relatively, count as equally long.
_EQUAL_LATENCY = 0.1


@dataclass(frozen=True)
class Entrant:
    """One side to compare, at its own settings."""

    sweep: ResolvedSweep
    """Its one cell."""
    label_words: tuple[str, ...] = ()
    """Words that tell it from other entrants of its model and steps, for its label."""

    @property
    def label(self) -> str:
        """Its model, its steps and its own words."""
        request = self.sweep.cells[0].request
        steps = request.num_inference_steps
        unit = "step" if steps == 1 else "steps"
        return " ".join([request.model, str(steps), unit, *self.label_words])

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
    figures: Baseline
    """Its measurements."""
    timing: Timing
    """Time of a call."""
    images: Mapping[str, Path]
    """PNG file of the first image of each prompt."""

    @property
    def steps(self) -> int:
        """Denoising steps."""
        return int(self.figures.parameters["num_inference_steps"])


@dataclass(frozen=True)
class Comparison:
    """A candidate against its baselines."""

    verdict: Verdict
    """Verdict of all rows together."""
    candidate: Contender
    """The candidate."""
    contenders: Mapping[str, Contender]
    """The candidate and every baseline, by label."""
    rows: tuple[CheckResult, ...]
    """Paired differences; false alarms are held over all of them."""


def compare_entrants(candidate: Entrant, baselines: Sequence[Entrant]) -> Comparison:
    """Draw and time all entrants, each baseline in three fair ways, and compare them.

    Raises ``InputError`` if no baseline differs from the candidate, ``JudgementError`` if
    an entrant cannot be drawn, timed or scored.
    """
    drawn = draw(candidate)
    found: dict[str, tuple[str, Contender]] = {}
    for entrant in baselines:
        for way, baseline in _ways(drawn, entrant):
            found.setdefault(baseline.figures.record_id, (way, baseline))
    if not found:
        raise InputError(
            f"compare: the baseline is the candidate itself ({drawn.label}); name what "
            "differs, as in candidate.dtype=bfloat16"
        )
    contenders, rows = {drawn.label: drawn}, []
    for way, baseline in found.values():
        contenders[baseline.label] = baseline
        rows += _rows(drawn, baseline, way)
    held = tuple(hold_family(rows))
    return Comparison(worst([row.verdict for row in held]), drawn, contenders, held)


def draw(entrant: Entrant) -> Contender:
    """Draw, measure and time one entrant; what the store holds is not done again.

    Raises :class:`JudgementError` if it cannot be drawn, timed or scored.
    """
    label = entrant.label
    side = draw_side(label, measuring(entrant.sweep, METRICS, "short"))
    timing = latest_timing(side.done.store, side.done.record)
    if timing is None:
        raise JudgementError(f"compare: {label}: could not be timed")
    scored = {m.name for m in side.figures.measurements}
    notes = {m.name: m.note for m in side.done.measurements[side.done.record.record_id]}
    lacking = [f"{name}: {notes.get(name)}" for name in METRICS if name not in scored]
    if lacking:
        raise JudgementError(f"compare: {label}: has no values an image ({'; '.join(lacking)})")
    return Contender(label, side.figures, timing, side.first_images())


def _ways(candidate: Contender, entrant: Entrant) -> list[tuple[str, Contender]]:
    """Draw a baseline at each of its settings, once: its own, equal steps, equal latency."""
    own = draw(entrant)
    equal = own if own.steps == candidate.steps else draw(entrant.at(candidate.steps))
    drawn = [("own settings", own), ("equal steps", equal)]
    wanted = steps_of_equal_latency(candidate, own, equal)
    if wanted is not None:
        nearest = draw(entrant.at(max(1, min(_MOST_STEPS, wanted))))
        ratio = nearest.timing.latency_s.p50 / candidate.timing.latency_s.p50
        is_equal = abs(ratio - 1) <= _EQUAL_LATENCY
        drawn.append(("equal latency" if is_equal else "nearest latency", nearest))
    ways: dict[str, tuple[list[str], Contender]] = {}
    for way, contender in drawn:
        ways.setdefault(contender.figures.record_id, ([], contender))[0].append(way)
    ways.pop(candidate.figures.record_id, None)
    return [(", ".join(names), contender) for names, contender in ways.values()]


def steps_of_equal_latency(candidate: Contender, own: Contender, equal: Contender) -> int | None:
    """Return the steps at which the baseline takes as long as the candidate.

    Found on the line through both measured points; if they are one point, on its UNet's
    share. 0 or less: the baseline takes longer even at one step. ``None``: no line rises.
    """
    if own.steps != equal.steps:
        a_step = (own.timing.latency_s.p50 - equal.timing.latency_s.p50) / (own.steps - equal.steps)
    else:
        a_step = (own.timing.stages_s or {}).get("unet", 0.0) / own.steps
    if a_step <= 0:
        return None
    return round(
        equal.steps + (candidate.timing.latency_s.p50 - equal.timing.latency_s.p50) / a_step
    )


def _rows(candidate: Contender, baseline: Contender, way: str) -> list[CheckResult]:
    """Compare with a margin of zero: ``pass`` is at least as good, ``regression`` is worse."""
    there = {m.name: m for m in baseline.figures.measurements}
    return [
        replace(
            compare_figure(measured, there[measured.name], candidate.figures.keys,
                           baseline.figures.keys, 0.0),
            name=f"{measured.name} / {baseline.label} ({way})",
        )
        for measured in candidate.figures.measurements
        if measured.name in there
    ]  # fmt: skip


def compare_report(found: Comparison, published: PublishedTables | None = None) -> CompareReport:
    """Return what a comparison reports; ``published``: figures to show in tables of their own."""
    contenders = found.contenders
    return CompareReport(
        verdict=found.verdict,
        candidate=found.candidate.label,
        rows=found.rows,
        contenders=tuple(_contender(item) for item in contenders.values()),
        pareto=tuple(_pareto(list(contenders.values()))),
        prompts=_prompts(found.candidate, contenders),
        fidelity=_fidelity(found.candidate, contenders),
        published=published,
    )


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
) -> dict[str, tuple[FidelityFigure, ...]]:
    """Return how far the candidate's images are from each variant of the same model and seeds.

    Compares the first image of each prompt. Another model is meant to draw other pictures.
    """
    import numpy as np

    from turbo_lab import images
    from turbo_lab.golden.embedding import image_embedding
    from turbo_lab.metrics.paired import paired_fidelity

    embed, found = image_embedding(), {}
    mine = candidate.figures.parameters
    for label, other in contenders.items():
        theirs = other.figures.parameters
        is_variant = label != candidate.label and theirs["model"] == mine["model"]
        if not is_variant or theirs["resolution"] != mine["resolution"]:
            continue
        prompts = [prompt for prompt in candidate.images if prompt in other.images]
        first, second = (
            np.stack([images.read_png(side.images[prompt])[0] for prompt in prompts])
            for side in (candidate, other)
        )
        rows = paired_fidelity(first, second, prompts, (embed(first), embed(second)))
        found[label] = tuple(
            FidelityFigure(
                name=row.name,
                unit=row.unit,
                direction=row.direction,
                mean=row.mean,
                worst=row.worst,
                n=row.n,
                ci95=row.ci95,
                note=row.note,
            )
            for row in rows
        )
    return found


def _contender(item: Contender) -> ContenderResult:
    call, energy = item.timing.latency_s, item.timing.energy
    return ContenderResult(
        label=item.label,
        metrics={m.name: ContenderFigure(m.value, m.ci95, m.n) for m in item.figures.measurements},
        latency_s=ContenderLatency(call.p50, call.ci95, call.n),
        energy=None
        if energy is None
        else ContenderEnergy(energy.joules_per_image, energy.ci95, energy.n, energy.method),
    )


def _pareto(contenders: Sequence[Contender]) -> list[str]:
    """Return the Pareto front of CLIP score against latency, by their intervals."""
    points = {}
    for item in contenders:
        score = next(m for m in item.figures.measurements if m.name == METRICS[0])
        latency = item.timing.latency_s.ci95
        if score.ci95 is not None and latency is not None:
            points[item.label] = (score.ci95, latency)
    return pareto(points)


def _prompts(
    candidate: Contender, contenders: Mapping[str, Contender]
) -> dict[str, PromptExtremes]:
    """Return, for each baseline, the prompts where the candidate gains and loses most."""
    found = {}
    score = next(m for m in candidate.figures.measurements if m.name == METRICS[0])
    for label, other in contenders.items():
        if label != candidate.label:
            there = next(m for m in other.figures.measurements if m.name == METRICS[0])
            won, lost = winners_and_losers(score, there, candidate.figures.keys, other.figures.keys)
            found[label] = PromptExtremes(gains=tuple(won), losses=tuple(lost))
    return found
