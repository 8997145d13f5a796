"""The checks of a gate that draw, time or run goldens.

Owns the way from a policy and two sides to one result per check. The verdicts are
decided in :mod:`turbo_lab.gate.checks` and :mod:`turbo_lab.compare.paired`.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import Key, compare_metric
from turbo_lab.compare.sides import Side, draw_side
from turbo_lab.documents.gate import CheckResult
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.gate import checks as gate
from turbo_lab.gate.inputs import GateInputs
from turbo_lab.gate.policy import Policy
from turbo_lab.planning.resolved_sweep import measuring
from turbo_lab.request.resolve import Library
from turbo_lab.verdict import Verdict
from turbo_lab.workflows import results

if TYPE_CHECKING:
    from turbo_lab.golden.library import GoldenLibrary
    from turbo_lab.golden.run_case import RecordedCase

_NEEDS_BASELINE = "needs a baseline in the same run: give baseline.KEY=VALUE"


@dataclass(frozen=True)
class DrawnSides:
    """The sides of a gate, drawn and measured."""

    inputs: GateInputs
    """The policy and the sides as they were resolved."""
    candidate: Side
    """The candidate, drawn now."""
    baseline: Side | None
    """The baseline, drawn now; ``None``: the stored one serves, or there is none."""
    reference: Baseline | None
    """Figures to compare the candidate's with, drawn now or stored; ``None``: there are none."""
    same_seeds: bool = True
    """Whether images pair by prompt and seed. If not, they pair in their order: equal pipelines
    with other seeds."""


def draw_sides(inputs: GateInputs) -> DrawnSides:
    """Draw and measure the candidate, and the baseline unless it is stored."""
    metrics = tuple(inputs.policy.quality)
    candidate = draw_side("the candidate", measuring(inputs.candidate, metrics))
    baseline = None
    if inputs.baseline is not None:
        baseline = draw_side("the baseline", measuring(inputs.baseline, metrics))
    reference = inputs.stored if baseline is None else baseline.measured
    return DrawnSides(inputs, candidate, baseline, reference)


def all_checks(sides: DrawnSides) -> Iterator[CheckResult]:
    """Yield one result per metric and per check of the policy, the cheap ones first."""
    inputs, policy = sides.inputs, sides.inputs.policy
    if policy.licenses:
        yield gate.license_check(_licenses(inputs.candidate.library), policy.licenses)
    if sides.reference is None:
        yield from (
            CheckResult.without_value(name, Verdict.UNCOVERED, inputs.missing)
            for name in policy.quality
        )
    else:
        yield from quality_checks(policy, sides.candidate.measured, sides.reference)
    if policy.frechet is not None:
        margin = policy.frechet
        yield from _guarded("fd", lambda: [_frechet(margin, sides)])
    yield from _golden_checks(policy, inputs.candidate.cells[0].recipe.model)
    if policy.latency is not None:
        limit = policy.latency
        yield from _guarded("latency", lambda: [_latency(limit, inputs)])
    if policy.energy is not None:
        budget = policy.energy
        yield from _guarded("energy", lambda: [_energy(budget, inputs)])
    if policy.memory is not None:
        most = policy.memory
        yield from _guarded("memory", lambda: [_memory(most, inputs)])


def _guarded(name: str, check: Callable[[], Iterable[CheckResult]]) -> Iterator[CheckResult]:
    """Run one check. An exception becomes an ``error`` result, so that the others still run."""
    try:
        yield from list(check())
    except TurboLabError as error:
        yield CheckResult.without_value(name, Verdict.ERROR, str(error))
    except Exception as error:  # noqa: BLE001  (another's library, at its newest version)
        traceback.print_exc()
        yield CheckResult.without_value(name, Verdict.ERROR, f"{type(error).__name__}: {error}")


def quality_checks(policy: Policy, candidate: Baseline, baseline: Baseline) -> list[CheckResult]:
    """Return one result per metric of the policy; one that does not compare is ``uncovered``."""
    rows = []
    for name, rule in policy.quality.items():
        here, there = candidate.scored(name), baseline.scored(name)
        if here is None or there is None:
            side = "candidate" if here is None else "baseline"
            note = f"the {side} has no {name} with values per image"
            rows.append(CheckResult.without_value(name, Verdict.UNCOVERED, note))
            continue
        try:
            rows.append(compare_metric(here, there, rule.margin, rule.two_sided))
        except TurboLabError as error:
            why = str(error).removeprefix(f"{name}: ")
            rows.append(CheckResult.without_value(name, Verdict.UNCOVERED, why))
    return rows


def _frechet(margin: float, sides: DrawnSides) -> CheckResult:
    """Compare the sides' distances, paired; uncovered with fewer images than features."""
    from turbo_lab.metrics.frechet import frechet_distance, resampled_differences
    from turbo_lab.metrics.reference import check_extractor, load_reference

    if sides.baseline is None:
        note = f"{_NEEDS_BASELINE}; a stored one keeps no images"
        return CheckResult.without_value("fd", Verdict.UNCOVERED, note)
    context = results.metric_context(sides.inputs.candidate.options.metrics, [])
    name = f"fd/{context.extractor.name}"
    if context.reference is None:
        return CheckResult.without_value(
            name, Verdict.UNCOVERED, "needs reference=NAME or reference=FILE"
        )
    (keys, first, judge), (others, second, _) = (
        features_of(side) for side in (sides.candidate, sides.baseline)
    )
    reference = load_reference(context.reference.path, context.reference.name)
    check_extractor(reference, *judge)
    row_of = {key: row for row, key in enumerate(others if sides.same_seeds else keys)}
    if set(row_of) != set(keys) or len(keys) != len(others):
        return CheckResult.without_value(
            name, Verdict.UNCOVERED, "the sides' prompts and seeds do not pair"
        )
    second = second[[row_of[key] for key in keys]]
    drawn = resampled_differences(first, second, reference, [prompt for prompt, _ in keys])
    if drawn is None:
        n, d = first.shape
        few = f"{n} images for {d} features: not gated below as many, nor below 8 prompts"
        return CheckResult.without_value(name, Verdict.UNCOVERED, few)
    low, high = (float(bound) for bound in np.quantile(drawn, [0.025, 0.975]))
    p_value = (1 + int((drawn <= margin).sum())) / (len(drawn) + 1)
    distances = frechet_distance(first, reference), frechet_distance(second, reference)
    return gate.distance_check(name, distances, (low, high), p_value, margin, len(keys))


def features_of(side: Side) -> tuple[list[Key], np.ndarray, tuple[str, str]]:
    """Return (prompt, seed) and features of every image, and the extractor's name and digest."""
    from turbo_lab.metrics.evaluate import loaded_extractor
    from turbo_lab.store.store import images_of, read_image

    rows = images_of(side.done.store, side.done.record)
    pixels = np.stack([read_image(path, pixel_sha256) for path, pixel_sha256, *_ in rows])
    extractor = loaded_extractor(results.metric_context(side.sweep.options.metrics, []))
    keys = [(prompt, seed) for _, _, prompt, seed in rows]
    return keys, extractor.image_features(pixels), (extractor.name, extractor.digest)


def _golden_checks(policy: Policy, model: str) -> Iterator[CheckResult]:
    """Yield the results of the checks that run golden cases; ``model``: the candidate's digest."""
    from turbo_lab.golden.library import open_libraries

    libraries = open_libraries()
    if policy.goldens is not None:
        yield from _guarded("goldens", lambda: _goldens(policy, libraries, model))
    if policy.invariance is not None:
        names = policy.invariance
        yield from _guarded("invariance", lambda: [_invariance(libraries, names)])
    if policy.mutation is not None:
        cases = policy.mutation
        yield from _guarded("mutation score", lambda: [_mutation(libraries, cases)])


def _goldens(
    policy: Policy, libraries: Sequence[GoldenLibrary], model: str
) -> Iterator[CheckResult]:
    """Yield the verdict on the goldens, and on the features that they cover."""
    from turbo_lab.golden.check import check, library_judge
    from turbo_lab.golden.coverage import missing_features
    from turbo_lab.golden.library import library_by_case

    by_case = library_by_case(libraries)
    names = list(policy.goldens or by_case)
    verdicts, counts = [], []
    for library in libraries:
        own = [name for name in names if by_case[name] is library]
        counts.append(len(own))
        if own:
            checks = check(library, own, library_judge(library))
            verdicts += [item.verdict for item in checks]
    row = gate.golden_check(verdicts, policy.min_goldens, policy.golden_tier)
    judged = [by_case[name].read(name) for name in gate.covered_cases(verdicts, policy.golden_tier)]
    notes = [row.note] if row.note else []
    if all(counts) and len(counts) > 1:
        notes.append(f"{counts[0]} of your own and {counts[1]} packaged")
    if missing_features(["candidate_model"], judged, model):
        notes.append("none has the candidate's weights, so they judge the installed code only")
    yield dataclasses.replace(row, note="; ".join(notes) or None)
    if policy.coverage:
        missing = missing_features(policy.coverage, judged, model)
        yield gate.coverage_check(missing, policy.coverage)


def _invariance(libraries: Sequence[GoldenLibrary], names: Sequence[str]) -> CheckResult:
    from turbo_lab.golden.check import library_judge
    from turbo_lab.trials.golden_invariance import invariance

    rows = invariance(loaded_cases(libraries, names), library_judge(libraries[0]))
    compared = [row for row in rows if row.cases]
    broken = {row.name: row.max_abs for row in compared if not row.holds}
    return gate.invariance_check(broken, len(compared))


def _mutation(libraries: Sequence[GoldenLibrary], names: Sequence[str]) -> CheckResult:
    from turbo_lab.golden.check import library_judge
    from turbo_lab.trials.golden_mutation import mutate

    mutation = mutate(loaded_cases(libraries, names), library_judge(libraries[0]))
    shown = [fault for fault in mutation.faults if fault.cases]
    missed = [fault.name for fault in shown if not fault.caught]
    alarms = [change.name for change in mutation.harmless if change.alarm]
    return gate.mutation_check(missed, len(shown), alarms)


def loaded_cases(libraries: Sequence[GoldenLibrary], names: Sequence[str]) -> list[RecordedCase]:
    """Return recorded cases by name, in the policy's order; no name means all of the first."""
    from turbo_lab.trials.golden_calibration import load_cases

    wanted = libraries if names else libraries[:1]
    found = {one[0].name: one for library in reversed(wanted) for one in load_cases(library)}
    absent = [name for name in names if name not in found]
    if absent:
        raise InputError(f"{', '.join(absent)}: no golden yet; turbo-lab golden record")
    return [found[name] for name in names] if names else list(found.values())


def _latency(margin: float, inputs: GateInputs) -> CheckResult:
    """Time both sides interleaved in one run; repeat it, and say so, if it does not pass."""
    from turbo_lab.compare import latency

    if inputs.baseline is None:
        return _stored_latency(margin, inputs)
    for attempt in range(inputs.policy.retries + 1):
        found = latency.time_sides(inputs.baseline, inputs.candidate)
        times = [f"retried, attempt {attempt + 1} counts"] if attempt else []
        note = "; ".join([*times, *found.warnings]) or None
        row = gate.ratio_check("latency", found.blocks_b_s, found.blocks_a_s, margin, note)
        if row.verdict == Verdict.PASS:
            break
    return row


def _energy(margin: float, inputs: GateInputs) -> CheckResult:
    """Measure the energy of both sides in interleaved blocks, if the device has a meter."""
    from turbo_lab.compare import latency
    from turbo_lab.runtime.energy import open_meter

    if inputs.baseline is None:
        return CheckResult.without_value("energy", Verdict.UNCOVERED, _NEEDS_BASELINE)
    nothing = "energy is read from an NVIDIA GPU through NVML (pip install 'turbo-lab[gpu]')"
    if open_meter(inputs.baseline.device) is None:
        note = f"device={inputs.baseline.device} has no meter here; {nothing}"
        return CheckResult.without_value("energy", Verdict.UNCOVERED, note)
    found = latency.time_sides(inputs.baseline, inputs.candidate, with_energy=True)
    if found.energy is None:
        note = f"the device gave no readings; {nothing}"
        return CheckResult.without_value("energy", Verdict.UNCOVERED, note)
    return gate.energy_check(found.energy, margin, inputs.images_per_call)


def _stored_latency(margin: float, inputs: GateInputs) -> CheckResult:
    """Compare with the times in a stored baseline, if it was timed in this very environment."""
    from turbo_lab.execute.worker import worker_for
    from turbo_lab.golden.tiers import choose_tier

    stored, sweep = inputs.stored, inputs.candidate
    if stored is None or not stored.timing_samples_s:
        note = f"{_NEEDS_BASELINE}, or store one that was timed: turbo-lab sweep timing=full"
        return CheckResult.without_value("latency", Verdict.UNCOVERED, note)
    choice = choose_tier(stored.fingerprint.keys, sweep.fingerprint.keys)
    other = [name for name, *_ in choice.differs] if choice.tier != "T0" else []
    # Two machines with one device name differ in clocks, cooling and what else they run.
    if stored.fingerprint.options.get("host") != sweep.fingerprint.options["host"]:
        other.append("host")
    if other:
        note = f"the stored baseline was timed elsewhere ({', '.join(other)}); {_NEEDS_BASELINE}"
        return CheckResult.without_value("latency", Verdict.UNCOVERED, note)
    worker, cell = worker_for(sweep), sweep.cells[0]
    images, then = len(cell.batches[0].layout.seeds), _images_a_call(stored)
    if images != then:
        note = f"a call draws {images} images, the stored baseline's drew {then}"
        return CheckResult.without_value("latency", Verdict.UNCOVERED, note)
    worker.prepare(cell.recipe)
    timing = worker.time_cell(cell, "full", sweep.fingerprint)
    note = "; ".join(["the stored baseline's calls were timed then", *timing.warnings])
    return gate.stored_ratio_check(
        "latency", timing.samples_s, stored.timing_samples_s, margin, note
    )


def _images_a_call(stored: Baseline) -> int:
    """Return the images of one timed call, which is a call of a cell's first batch."""
    return min(stored.parameters.batch_size, len(stored.keys))


def _memory(margin: float, inputs: GateInputs) -> CheckResult:
    from turbo_lab.execute.peak_memory import MemorySubject, compare_footprints

    if inputs.baseline is None:
        return CheckResult.without_value("memory", Verdict.UNCOVERED, _NEEDS_BASELINE)
    peaks = compare_footprints(
        MemorySubject.of(inputs.candidate), MemorySubject.of(inputs.baseline)
    )
    mib = [sum(side) / len(side) / 2**20 for side in peaks]
    note = f"mean peak {mib[0]:.1f} MiB, the baseline's {mib[1]:.1f} MiB"
    return gate.ratio_check("memory", *peaks, margin, note)


def _licenses(library: Library) -> dict[str, str]:
    """Return the licence of every model, adapter and VAE that was looked up, by name.

    Two of one name with different licences are two entries: neither hides the other.
    """
    stated = [(card.name, card.license) for card, _ in library.models.values()]
    stated += [(files.name, files.license) for files in library.adapters.values()]
    stated += [(files.name, files.license) for files in library.vaes.values()]
    found: dict[str, str] = {}
    for name, text in stated:
        is_new = found.get(name, text) == text
        found[name if is_new else f"{name} ({text})"] = text
    return found
