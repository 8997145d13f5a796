"""Draw the sides of a gate and make every check of its policy.

Owns the order of the checks, the cheap ones first, and the checks on images. The verdicts are
decided in :mod:`turbo_lab.gate.checks` and :mod:`turbo_lab.compare.paired`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import NotComparableError, compare_metric
from turbo_lab.compare.sides import Side, draw_side, features_of
from turbo_lab.documents.gate import CheckResult
from turbo_lab.errors import TurboLabError
from turbo_lab.gate import checks
from turbo_lab.gate.inputs import GateInputs
from turbo_lab.gate.performance_checks import (
    INSTRUMENTS,
    NEEDS_BASELINE,
    Instruments,
    check_energy,
    check_latency,
    check_memory,
)
from turbo_lab.gate.policy import Policy
from turbo_lab.planning.resolved_sweep import measuring
from turbo_lab.request.resolve import Library
from turbo_lab.verdict import Verdict
from turbo_lab.workflows import results


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
    """Measurements to compare the candidate's with, of now or stored; ``None``: there are none."""
    same_seeds: bool = True
    """True if images pair by prompt and seed; if not, they pair in their order, which is how
    equal pipelines with different seeds are compared."""


def draw_sides(inputs: GateInputs) -> DrawnSides:
    """Draw and measure the candidate, and the baseline unless it is stored."""
    metrics = tuple(inputs.policy.quality)
    candidate = draw_side("the candidate", measuring(inputs.candidate, metrics))
    baseline = None
    if inputs.baseline is not None:
        baseline = draw_side("the baseline", measuring(inputs.baseline, metrics))
    reference = inputs.stored if baseline is None else baseline.measured
    return DrawnSides(inputs, candidate, baseline, reference)


def all_checks(sides: DrawnSides, instruments: Instruments = INSTRUMENTS) -> Iterator[CheckResult]:
    """Yield one result per metric and per check of the policy, the cheap ones first."""
    inputs, policy = sides.inputs, sides.inputs.policy
    if policy.licenses:
        yield checks.license_check(_licenses(inputs.candidate.library), policy.licenses)
    if sides.reference is None:
        yield from (
            CheckResult.without_value(name, Verdict.UNCOVERED, inputs.missing)
            for name in policy.quality
        )
    else:
        yield from quality_checks(policy, sides.candidate.measured, sides.reference)
    yield from floor_checks(policy, sides.candidate.measured)
    if policy.frechet is not None:
        margin = policy.frechet
        yield from _guarded("fd", lambda: _frechet(margin, sides))
    yield from _golden_checks(policy, inputs.candidate.cells[0].recipe.model)
    yield from _performance_checks(inputs, instruments)


def _performance_checks(inputs: GateInputs, instruments: Instruments) -> Iterator[CheckResult]:
    policy = inputs.policy
    for name, margin, check in (
        ("latency", policy.latency, check_latency),
        ("energy", policy.energy, check_energy),
        ("memory", policy.memory, check_memory),
    ):
        if margin is not None:
            make = partial(check, margin, inputs, instruments)
            yield from _guarded(name, make)


def _guarded(
    name: str, make: Callable[[], CheckResult | Iterable[CheckResult]]
) -> Iterator[CheckResult]:
    """Make one check. An exception becomes an ``error`` result, so that the others still run."""
    began = time.perf_counter()
    try:
        made = make()
        rows = [made] if isinstance(made, CheckResult) else list(made)
        yield from _with_time(rows, time.perf_counter() - began)
    except TurboLabError as error:
        yield CheckResult.without_value(name, Verdict.ERROR, str(error))
    except Exception as error:  # noqa: BLE001  (another's library, at its newest version)
        traceback.print_exc()
        yield CheckResult.without_value(name, Verdict.ERROR, f"{type(error).__name__}: {error}")


def _with_time(rows: Sequence[CheckResult], wall_s: float) -> list[CheckResult]:
    """Return the results with their time, which belongs to the first of several."""
    return [replace(row, wall_s=0.0 if place else wall_s) for place, row in enumerate(rows)]


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
        except NotComparableError as error:
            rows.append(CheckResult.without_value(name, Verdict.UNCOVERED, error.reason))
    return rows


def floor_checks(policy: Policy, candidate: Baseline) -> Iterator[CheckResult]:
    """Yield one result per metric that has a minimum."""
    for name, rule in policy.quality.items():
        if rule.minimum is None:
            continue
        found = candidate.scored(name)
        if found is None:
            note = f"the candidate has no {name} with values per image"
            yield CheckResult.without_value(f"{name} min", Verdict.UNCOVERED, note)
        else:
            yield checks.floor_check(found.measurement, rule.minimum)


def _frechet(margin: float, sides: DrawnSides) -> CheckResult:
    """Compare the sides' Fréchet distances; ``uncovered`` with fewer images than features."""
    from turbo_lab.metrics.frechet import frechet_distance, resampled_differences
    from turbo_lab.metrics.reference import check_extractor, load_reference

    if sides.baseline is None:
        note = f"{NEEDS_BASELINE}; a stored one keeps no images"
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
        few = f"{n} images for {d} features; needs at least as many images, and 8 prompts"
        return CheckResult.without_value(name, Verdict.UNCOVERED, few)
    low, high = (float(bound) for bound in np.quantile(drawn, [0.025, 0.975]))
    p_value = (1 + int((drawn <= margin).sum())) / (len(drawn) + 1)
    distances = frechet_distance(first, reference), frechet_distance(second, reference)
    return checks.distance_check(
        name,
        distances,
        ci95=(low, high),
        p_value=p_value,
        margin=margin,
        num_images=len(keys),
    )


def _golden_checks(policy: Policy, model: str) -> Iterator[CheckResult]:
    """Yield the results of the checks that run golden cases; ``model``: the candidate's digest."""
    from turbo_lab.gate.golden_checks import check_goldens, check_invariance, check_mutation
    from turbo_lab.golden.library import open_libraries

    libraries = open_libraries()
    if policy.goldens is not None:
        yield from _guarded("goldens", lambda: check_goldens(policy, libraries, model))
    if policy.invariance is not None:
        names = policy.invariance
        yield from _guarded("invariance", lambda: check_invariance(libraries, names))
    if policy.mutation is not None:
        cases = policy.mutation
        yield from _guarded("mutation score", lambda: check_mutation(libraries, cases))


def _licenses(library: Library) -> dict[str, str]:
    """Return the licence of every model, adapter and VAE that was looked up, by name.

    Two of one name with different licences are two entries: neither hides the other.
    """
    stated = [(card.name, card.license) for card, _ in library.models.values()]
    stated += [(files.name, files.license) for files in library.adapters.values()]
    stated += [(files.name, files.license) for files in library.vaes.values()]
    licenses: dict[str, str] = {}
    for name, text in stated:
        is_unique = licenses.get(name, text) == text
        licenses[name if is_unique else f"{name} ({text})"] = text
    return licenses
