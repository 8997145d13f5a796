"""The checks of a gate that draw, time or run goldens.

Owns the way from a policy and two sides to one row a check. What a row says is
decided in :mod:`turbo_lab.gate.checks` and :mod:`turbo_lab.compare.paired`.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from turbo_lab.compare.baseline import Baseline, baseline_of
from turbo_lab.compare.paired import Key, Row, compare_figure
from turbo_lab.compare.sides import compose_side
from turbo_lab.errors import InputError, JudgementError, TurboLabError
from turbo_lab.gate import checks as gate
from turbo_lab.gate.policy import Policy
from turbo_lab.planning.resolved_sweep import measuring
from turbo_lab.store.record import CellStatus
from turbo_lab.verdict import Verdict
from turbo_lab.workflows import results

if TYPE_CHECKING:
    from turbo_lab.execute.peak_memory import Side
    from turbo_lab.golden.library import GoldenLibrary
    from turbo_lab.golden.run_case import Case
    from turbo_lab.workflows.sweep import Executed

Overrides = Mapping[str, Sequence[str]]
_NEEDS_BASELINE = "needs a baseline in the same run: give baseline.KEY=VALUE"


@dataclass(frozen=True)
class Sides:
    """What a gate compares."""

    overrides: Overrides
    """Of ``candidate`` and ``baseline``."""
    candidate: Executed
    """Drawn and measured now."""
    baseline: Executed | None
    """Drawn and measured now; ``None``: a stored one serves, or none does."""
    stored: Baseline | None
    """The baseline's figures, drawn now or stored; ``None``: there is none."""
    missing: str
    """Why there is none."""
    same_seeds: bool = True
    """Images pair by prompt and seed; if not, in their order: equal pipelines with other seeds."""


def draw_side(side: str, overrides: Sequence[str], policy: Policy) -> Executed:
    """Draw and measure one side, as a sweep of one cell; stored work is not done again.

    Raises :class:`JudgementError` where it cannot be drawn: nothing can be said of it.
    """
    from turbo_lab.progress import StderrProgress
    from turbo_lab.workflows.sweep import execute

    sweep = compose_side("gate", side, [*overrides, "tracking=none"])
    progress = StderrProgress()
    try:
        done = execute(measuring(sweep, tuple(policy.quality)), progress)
    except TurboLabError:
        raise
    except Exception as error:
        traceback.print_exc()
        told = f"the {side} could not be drawn: {type(error).__name__}: {error}"
        raise JudgementError(told) from error
    finally:
        progress.end()
    row = done.document["cells"][0]
    if row["status"] == CellStatus.FAILED:
        raise JudgementError(f"the {side} could not be drawn: {row['error']}")
    return done


def side_of(done: Executed) -> Baseline:
    """What a drawn side measured, in a baseline's form."""
    row = done.document["cells"][0]
    found = baseline_of("drawn now", done.context.store, row["record_id"], measured=False)
    fresh = {figure["fingerprint"] for figure in row["metrics"].values()}
    kept = tuple(m for m in found.measurements if m.fingerprint in fresh)
    return dataclasses.replace(found, measurements=kept)


def all_checks(policy: Policy, sides: Sides) -> Iterator[Row]:
    """One row a figure and a check of the policy, the cheap ones first."""
    if policy.licenses:
        yield gate.license_check(_licenses(sides.candidate), policy.licenses)
    if sides.stored is None:
        yield from (
            gate.failed_check(name, Verdict.UNCOVERED, sides.missing) for name in policy.quality
        )
    else:
        yield from quality_checks(policy, side_of(sides.candidate), sides.stored)
    if policy.frechet is not None:
        yield from _judged("fd", lambda: [_frechet(policy, sides)])
    yield from _golden_checks(policy, sides.candidate)
    if policy.latency is not None:
        yield from _judged("latency", lambda: [_latency(policy, sides)])
    if policy.memory is not None:
        yield from _judged("memory", lambda: [_memory(policy, sides)])


def _judged(name: str, check: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    """A check's rows. What broke is an ``error`` of its own: the others still say theirs."""
    try:
        yield from list(check())
    except TurboLabError as error:
        yield gate.failed_check(name, Verdict.ERROR, str(error))
    except Exception as error:  # noqa: BLE001  (another's library, at its newest version)
        traceback.print_exc()
        yield gate.failed_check(name, Verdict.ERROR, f"{type(error).__name__}: {error}")


def quality_checks(policy: Policy, candidate: Baseline, baseline: Baseline) -> list[Row]:
    """One row a figure of the policy; what cannot be compared is ``uncovered``."""
    here = {m.name: m for m in candidate.measurements}
    there = {m.name: m for m in baseline.measurements}
    rows = []
    for name, rule in policy.quality.items():
        if name not in here or name not in there:
            side = "candidate" if name not in here else "baseline"
            note = f"the {side} has no {name} with values an image"
            rows.append(gate.failed_check(name, Verdict.UNCOVERED, note))
            continue
        try:
            rows.append(
                compare_figure(here[name], there[name], candidate.keys, baseline.keys,
                               rule.margin, rule.two_sided)
            )  # fmt: skip
        except TurboLabError as error:
            why = str(error).removeprefix(f"{name}: ")
            rows.append(gate.failed_check(name, Verdict.UNCOVERED, why))
    return rows


def check_cases(policy: Policy) -> None:
    """Every case that the policy names has to be there: asked before anything is drawn."""
    from turbo_lab.golden.library import check_known, open_library

    if policy.named_cases():
        check_known(list(policy.named_cases()), open_library().cases())


def _frechet(policy: Policy, sides: Sides) -> Row:
    """The distances' paired difference; never from fewer images than features."""
    from turbo_lab.metrics.frechet import frechet_distance, resampled_differences
    from turbo_lab.metrics.reference import check_extractor, load_reference

    margin = policy.frechet
    assert margin is not None
    if sides.baseline is None:
        note = f"{_NEEDS_BASELINE}; a stored one keeps no images"
        return gate.failed_check("fd", Verdict.UNCOVERED, note)
    context = results.metric_context(sides.candidate.sweep.options.metrics, [])
    name = f"fd/{context.extractor.name}"
    if context.reference is None:
        return gate.failed_check(name, Verdict.UNCOVERED, "needs reference=NAME or reference=FILE")
    (keys, first, judge), (others, second, _) = (
        features_of(side) for side in (sides.candidate, sides.baseline)
    )
    reference = load_reference(context.reference.path, context.reference.name)
    check_extractor(reference, *judge)
    row_of = {key: row for row, key in enumerate(others if sides.same_seeds else keys)}
    if set(row_of) != set(keys) or len(keys) != len(others):
        return gate.failed_check(
            name, Verdict.UNCOVERED, "the sides' prompts and seeds do not pair"
        )
    second = second[[row_of[key] for key in keys]]
    drawn = resampled_differences(first, second, reference, [prompt for prompt, _ in keys])
    if drawn is None:
        n, d = first.shape
        few = f"{n} images for {d} features: not gated below as many, nor below 8 prompts"
        return gate.failed_check(name, Verdict.UNCOVERED, few)
    low, high = (float(bound) for bound in np.quantile(drawn, [0.025, 0.975]))
    p_value = (1 + int((drawn <= margin).sum())) / (len(drawn) + 1)
    distances = frechet_distance(first, reference), frechet_distance(second, reference)
    return gate.distance_check(name, distances, (low, high), p_value, margin, len(keys))


def features_of(done: Executed) -> tuple[list[Key], np.ndarray, tuple[str, str]]:
    """(prompt, seed) and judge's features of every image, and the judge's name and digest."""
    from turbo_lab.metrics.evaluate import loaded_extractor
    from turbo_lab.store.store import images_of, read_image

    store = done.context.store
    (record,) = done.outcome.records.values()
    rows = images_of(store, record)
    pixels = np.stack([read_image(path, pixel_sha256) for path, pixel_sha256, *_ in rows])
    judge = loaded_extractor(results.metric_context(done.sweep.options.metrics, []))
    keys = [(prompt, seed) for _, _, prompt, seed in rows]
    return keys, judge.image_features(pixels), (judge.name, judge.digest)


def _golden_checks(policy: Policy, candidate: Executed) -> Iterator[Row]:
    """Everything that runs the goldens' cases."""
    from turbo_lab.golden.library import open_library

    library = open_library()
    model = candidate.sweep.cells[0].recipe.model
    if policy.goldens is not None:
        yield from _judged("goldens", lambda: _goldens(policy, library, model))
    if policy.invariance is not None:
        names = policy.invariance
        yield from _judged("invariance", lambda: [_invariance(library, names)])
    if policy.mutation is not None:
        cases = policy.mutation
        yield from _judged("mutation score", lambda: [_mutation(library, cases)])


def _goldens(policy: Policy, library: GoldenLibrary, model: str) -> Iterator[Row]:
    """The goldens at their tiers, and what they are goldens of."""
    from turbo_lab.golden.coverage import lacking
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.golden.lifecycle import check
    from turbo_lab.golden.thresholds import thresholds_of

    names = list(policy.goldens or library.cases())
    checked = check(library, names, thresholds_of(library), judge_embed())
    verdicts = [item.verdict for item in checked]
    row = gate.golden_check(verdicts, policy.min_goldens, policy.golden_tier)
    judged = [library.read(name) for name in gate.covered_cases(verdicts, policy.golden_tier)]
    if lacking(["candidate_model"], judged, model):
        told = "none of them is of the candidate's weights: they judge the code that is installed"
        row = dataclasses.replace(row, note=f"{row.note}; {told}" if row.note else told)
    yield row
    if policy.coverage:
        yield gate.coverage_check(lacking(policy.coverage, judged, model), policy.coverage)


def _invariance(library: GoldenLibrary, names: Sequence[str]) -> Row:
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.golden.thresholds import thresholds_of
    from turbo_lab.trials.golden_invariance import invariance

    rows = invariance(loaded_cases(library, names), thresholds_of(library), judge_embed())
    asked = [row for row in rows if row.cases]
    broken = {row.name: row.max_abs for row in asked if not row.holds}
    return gate.invariance_check(broken, len(asked))


def _mutation(library: GoldenLibrary, names: Sequence[str]) -> Row:
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.golden.thresholds import thresholds_of
    from turbo_lab.trials.golden_mutation import mutate

    faults, harmless = mutate(loaded_cases(library, names), thresholds_of(library), judge_embed())
    shown = [fault for fault in faults if fault.cases]
    missed = [fault.name for fault in shown if not fault.caught]
    alarms = [change.name for change in harmless if change.alarm]
    return gate.mutation_check(missed, len(shown), alarms)


def loaded_cases(library: GoldenLibrary, names: Sequence[str]) -> list[tuple[Case, Any, Any]]:
    """Recorded cases by name, in the policy's order; no name means all."""
    from turbo_lab.trials.golden_calibration import load_cases

    found = {one[0].name: one for one in load_cases(library)}
    absent = [name for name in names if name not in found]
    if absent:
        raise InputError(f"{', '.join(absent)}: no golden yet; turbo-lab golden record")
    return [found[name] for name in names] if names else list(found.values())


def _latency(policy: Policy, sides: Sides) -> Row:
    """Blocks of both sides mixed in one run; tried again where it did not pass, and says so."""
    from turbo_lab.compare.latency import compare_overrides

    assert policy.latency is not None
    if sides.baseline is None:
        return _stored_latency(policy.latency, sides)
    for attempt in range(policy.retries + 1):
        found = compare_overrides("gate", sides.overrides)
        times = [f"retried, attempt {attempt + 1} counts"] if attempt else []
        note = "; ".join([*times, *found.warnings]) or None
        row = gate.ratio_check("latency", found.blocks_b_s, found.blocks_a_s, policy.latency, note)
        if row.verdict == Verdict.PASS:
            break
    return row


def _stored_latency(margin: float, sides: Sides) -> Row:
    """Against times that a stored baseline brings, where nothing of the environment differs."""
    from turbo_lab.execute.worker import worker_for
    from turbo_lab.golden.tiers import choose_tier

    stored, sweep = sides.stored, sides.candidate.sweep
    if stored is None or not stored.timing_samples_s:
        note = f"{_NEEDS_BASELINE}, or store one that was timed: turbo-lab sweep timing=full"
        return gate.failed_check("latency", Verdict.UNCOVERED, note)
    choice = choose_tier(stored.fingerprint.keys, sweep.fingerprint.keys)
    if choice.tier != "T0":
        other = ", ".join(name for name, *_ in choice.differs)
        note = f"the stored baseline was timed elsewhere ({other}); {_NEEDS_BASELINE}"
        return gate.failed_check("latency", Verdict.UNCOVERED, note)
    worker, cell = worker_for(sweep), sweep.cells[0]
    images, then = len(cell.batches[0].layout.seeds), _images_a_call(stored)
    if images != then:
        note = f"a call draws {images} images, the stored baseline's drew {then}"
        return gate.failed_check("latency", Verdict.UNCOVERED, note)
    worker.prepare(cell.recipe)
    timing = worker.time_cell(cell, "full", sweep.fingerprint)
    note = "; ".join(["the stored baseline's calls were timed then", *timing.warnings])
    return gate.stored_ratio_check(
        "latency", timing.samples_s, stored.timing_samples_s, margin, note
    )


def _images_a_call(stored: Baseline) -> int:
    """Of the timing lane, which calls a cell's first batch."""
    return min(int(stored.parameters["batch_size"]), len(stored.keys))


def _memory(policy: Policy, sides: Sides) -> Row:
    from turbo_lab.execute.peak_memory import compare_footprints

    assert policy.memory is not None
    if sides.baseline is None:
        return gate.failed_check("memory", Verdict.UNCOVERED, _NEEDS_BASELINE)
    candidate, baseline = (_memory_side(side, sides.overrides[side]) for side in sides.overrides)
    peaks = compare_footprints(candidate, baseline)
    mib = [sum(side) / len(side) / 2**20 for side in peaks]
    note = f"mean peak {mib[0]:.1f} MiB, the baseline's {mib[1]:.1f} MiB"
    return gate.ratio_check("memory", *peaks, policy.memory, note)


def _memory_side(side: str, overrides: Sequence[str]) -> Side:
    from turbo_lab.execute.worker import worker_for

    sweep = compose_side("gate", side, [*overrides, "tracking=none"])
    worker = worker_for(sweep)
    return worker.weights, worker.device, worker.num_threads, sweep.cells[0]


def _licenses(done: Executed) -> dict[str, str]:
    library = done.sweep.library
    found = {card.name: card.license for card, _ in library.models.values()}
    found |= {files.name: files.license for files in library.adapters.values()}
    return found | {files.name: files.license for files in library.vaes.values()}
