"""Comparison of a model with its baselines, on the same prompts and seeds. Prints nothing.

There are three fair ways to compare them: each at its own recommended settings, all at the
candidate's number of steps, and the baseline at the number of steps that takes as long as the
candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from turbo_lab.analysis.pareto import Estimate, pareto
from turbo_lab.compare.beginnings import Beginning, check_same_beginning
from turbo_lab.compare.entrant import (
    METRICS,
    Contender,
    Entrant,
    Entrants,
    FailedEntrant,
    check_pairs,
    draw,
    drawn_entrant,
)
from turbo_lab.compare.entrant_table import Distances, entrant_results
from turbo_lab.compare.paired import (
    ScoredImages,
    apply_holm,
    compare_metric,
    winners_and_losers,
)
from turbo_lab.documents.compare import (
    CompareReport,
    ContenderEnergy,
    ContenderLatency,
    ContenderMetric,
    ContenderResult,
    PromptExtremes,
    PublishedTables,
    SourceImages,
)
from turbo_lab.documents.gate import CheckResult
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.planning.random_weights import refuse_random_weights
from turbo_lab.request.recipe import fewest_steps
from turbo_lab.untrusted.redaction import redact
from turbo_lab.verdict import Verdict, worst

if TYPE_CHECKING:
    from turbo_lab.report.html.pictures import Picture

_MOST_STEPS = 50
# Calls whose medians differ by less than this, relatively, count as equally long.
_EQUAL_LATENCY = 0.1


Pair = tuple[Contender, Contender]
"""A candidate and the baseline that it is compared with."""


@dataclass(frozen=True)
class Comparison:
    """Result of comparing a candidate with its baselines, or several with one baseline."""

    verdict: Verdict
    """Worst verdict of all rows."""
    candidate: Contender
    """Candidate of the comparison; the first one if there are several."""
    contenders: Mapping[str, Contender]
    """The side that all are compared with and every other, by label."""
    rows: tuple[CheckResult, ...]
    """Paired differences, after Holm's correction over all of them."""
    reference: Contender
    """Contender that the table of entrants compares with."""
    pairs: Mapping[str, Pair]
    """Candidate and baseline of each comparison, by the label of the side that varies."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Why entrants could not be run or scored, by label."""


def compare_entrants(
    candidates: Entrants, baselines: Entrants, *, is_candidate_reference: bool = True
) -> Comparison:
    """Draw and time all entrants and compare them.

    One candidate is compared with each baseline in three fair ways; several candidates are
    compared with one baseline at its own settings. ``is_candidate_reference``: whether the table
    compares with the one candidate, as with other models, or with its first baseline.

    An entrant that fails is left out and named, if others remain. Raises ``InputError`` if no side
    differs, images do not pair, begin from different images or come from random weights, and
    ``JudgementError`` if too few can be drawn, timed or scored.
    """
    remedy = "compare the speed of two pipelines with turbo-lab bench candidate.KEY=VALUE"
    for entrant in (*candidates, *baselines):
        if isinstance(entrant, Entrant):
            refuse_random_weights(entrant.sweep, "compare", remedy)
    check_pairs(candidates, baselines)
    first, *others = (
        Beginning.of(one.label, one.sweep)
        for one in (*candidates, *baselines)
        if isinstance(one, Entrant)
    )
    for other in others:
        check_same_beginning("compare", first, other)
    if len(candidates) > 1:
        return _several_candidates(candidates, baselines)
    return _one_candidate(candidates[0], baselines, is_candidate_reference)


def _one_candidate(
    candidate: Entrant | FailedEntrant, baselines: Entrants, is_candidate_reference: bool
) -> Comparison:
    """Compare one candidate with each baseline in three fair ways."""
    drawn = drawn_entrant(candidate)
    failed: dict[str, TurboLabError] = {}
    found: dict[str, tuple[str, Contender]] = {}
    for entrant in baselines:
        try:
            ways = _ways(drawn, entrant)
        except TurboLabError as error:
            failed[entrant.label] = error
            continue
        for way, baseline in ways:
            found.setdefault(baseline.measured.record_id, (way, baseline))
    if not found:
        raise _nothing_differs(failed, f"the baseline equals the candidate ({drawn.label})")
    contenders, rows = {drawn.label: drawn}, []
    for way, baseline in found.values():
        contenders[baseline.label] = baseline
        rows += _rows(drawn, baseline, f"{baseline.label} ({way})")
    first = next(baseline for _, baseline in found.values())
    pairs = {one.label: (drawn, one) for one in contenders.values() if one is not drawn}
    reference = drawn if is_candidate_reference else first
    return _comparison(drawn, contenders, rows, reference=reference, pairs=pairs, failed=failed)


def _several_candidates(candidates: Entrants, baselines: Entrants) -> Comparison:
    """Compare each candidate with the one baseline, at the settings that were given."""
    if len(baselines) != 1:
        raise InputError(
            f"compare: {len(candidates)} candidates and {len(baselines)} baselines; pass one value "
            "per key for the candidate, or one baseline"
        )
    reference = drawn_entrant(baselines[0])
    failed: dict[str, TurboLabError] = {}
    contenders, rows = {reference.label: reference}, []
    records = {reference.measured.record_id}
    for entrant in candidates:
        try:
            candidate = drawn_entrant(entrant)
        except TurboLabError as error:
            failed[entrant.label] = error
            continue
        if candidate.measured.record_id not in records:  # equal settings are one entrant
            records.add(candidate.measured.record_id)
            contenders[candidate.label] = candidate
            rows += _rows(candidate, reference, f"{candidate.label}")
    drawn = [one for one in contenders.values() if one is not reference]
    if not drawn:
        raise _nothing_differs(failed, f"every candidate equals the baseline ({reference.label})")
    pairs = {one.label: (one, reference) for one in drawn}
    return _comparison(drawn[0], contenders, rows, reference=reference, pairs=pairs, failed=failed)


def _comparison(
    candidate: Contender,
    contenders: Mapping[str, Contender],
    rows: Sequence[CheckResult],
    *,
    reference: Contender,
    pairs: Mapping[str, Pair],
    failed: Mapping[str, TurboLabError],
) -> Comparison:
    corrected = tuple(apply_holm(rows))
    return Comparison(
        verdict=worst([row.verdict for row in corrected]),
        candidate=candidate,
        contenders=contenders,
        rows=corrected,
        reference=reference,
        pairs=pairs,
        failed={label: redact(" ".join(str(error).split())) for label, error in failed.items()},
    )


def _nothing_differs(failed: Mapping[str, TurboLabError], what: str) -> TurboLabError:
    """Return the error of the first entrant that failed, or that none differs."""
    return next(iter(failed.values()), None) or InputError(
        f"compare: {what}; pass a key that differs, such as candidate.dtype=bfloat16"
    )


def _ways(candidate: Contender, entrant: Entrant | FailedEntrant) -> list[tuple[str, Contender]]:
    """Draw a baseline at each of its settings, once: its own, equal steps, equal latency."""
    own = drawn_entrant(entrant)
    assert isinstance(entrant, Entrant)
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


def _rows(candidate: Contender, baseline: Contender, name: str) -> list[CheckResult]:
    """Compare with a margin of zero: ``pass`` is at least as good, ``regression`` is worse.

    ``name``: the side that varies, for the names of the rows.
    """
    rows = []
    for measured in candidate.measured.measurements:
        here, there = (side.measured.scored(measured.name) for side in (candidate, baseline))
        if here is not None and there is not None:
            row = compare_metric(here, there, margin=0.0)
            rows.append(replace(row, name=f"{measured.name} / {name}"))
    return rows


def compare_report(found: Comparison, published: PublishedTables | None = None) -> CompareReport:
    """Return what a comparison reports; ``published``: values to show in separate tables."""
    contenders, distances = found.contenders, Distances()
    return CompareReport(
        verdict=found.verdict,
        candidate=found.candidate.label,
        rows=found.rows,
        contenders=tuple(_contender(item) for item in contenders.values()),
        pareto=tuple(_pareto(list(contenders.values()))),
        prompts=_prompts(found.pairs),
        fidelity={
            label: rows
            for label, (candidate, baseline) in found.pairs.items()
            if (rows := distances.between(candidate, baseline))
        },
        sources=_sources(found.candidate),
        published=published,
        reference=found.reference.label,
        entrants=entrant_results(contenders, found.reference, found.failed, distances),
        environment=dict(found.reference.measured.fingerprint.keys),
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


def _prompts(pairs: Mapping[str, Pair]) -> dict[str, PromptExtremes]:
    """Return, for each pair, the prompts where its candidate gains and loses most."""
    found = {}
    for label, (candidate, baseline) in pairs.items():
        won, lost = winners_and_losers(_clip_score(candidate), _clip_score(baseline))
        found[label] = PromptExtremes(gains=tuple(won), losses=tuple(lost))
    return found


def _clip_score(item: Contender) -> ScoredImages:
    found = item.measured.scored(METRICS[0])
    assert found is not None  # draw() refuses a contender without it
    return found
