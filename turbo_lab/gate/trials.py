"""Trials of the gate: equal pipelines must pass it, and faults must not.

Owns drawing the images of the trials. The statistics of equal pipelines are in
:mod:`turbo_lab.gate.calibration`, the faults in :mod:`turbo_lab.gate.mutation`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import Key, apply_holm
from turbo_lab.compare.sides import Side, draw_side, features_of
from turbo_lab.documents.gate import (
    BlindnessOutcome,
    CatchRate,
    CheckResult,
    GateCalibration,
    GateMutation,
    GateReport,
    MetricCalibration,
)
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import worker_for
from turbo_lab.gate.calibration import MetricPool, calibrate_distance, calibrate_gate
from turbo_lab.gate.checks import ratio_check
from turbo_lab.gate.inputs import gate_inputs
from turbo_lab.gate.mutation import (
    HEAVIER,
    SAMPLE_FAULTS,
    SLOWER,
    CandidateSetup,
    Check,
    blindness,
    hold_unet_twice,
    slower_unet,
)
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run import GateResult, gate_report, judge
from turbo_lab.gate.run_checks import draw_sides, quality_checks
from turbo_lab.planning.resolved_sweep import ResolvedSweep, measuring, vary, with_store
from turbo_lab.request.request import LoraUse, Request
from turbo_lab.verdict import Verdict
from turbo_lab.workflows import results


@dataclass(frozen=True)
class RealGate:
    """A whole gate of one pipeline against itself, with other seeds."""

    result: GateResult
    """The gate's result."""
    candidate_seed: int
    """First seed of the candidate."""
    baseline_seed: int
    """First seed of the baseline."""

    def report(self, words: Sequence[str]) -> GateReport:
        """Return the gate's document; ``words``: the command line of both sides, without seeds."""
        return gate_report(
            self.result,
            [*words, f"seed={self.candidate_seed}"],
            [*words, f"seed={self.baseline_seed}"],
        )


def calibrate(
    policy: Policy, candidate: ResolvedSweep, seeds: int, resamples: int
) -> GateCalibration:
    """Draw ``seeds`` images per prompt and calibrate the policy's margins on them."""
    if not policy.quality:
        raise InputError("gate calibrate: the policy has no quality metric to calibrate")
    count = num_prompts(candidate) * seeds
    pool = vary(candidate, lambda request: dataclasses.replace(request, num_images=count))
    drawn = draw_side("the candidate", measuring(pool, tuple(policy.quality)))
    found = calibrate_gate(_pool(drawn.measured), policy.quality, resamples=resamples)
    if policy.frechet is not None:
        distance = _calibrate_distance(drawn, policy.frechet)
        found = dataclasses.replace(found, metrics=(*found.metrics, distance))
    return found


def real_gates(
    policy: Policy, candidate: ResolvedSweep, first_seeds: int, count: int
) -> list[RealGate]:
    """Run ``count`` whole gates, each on two seed sets that no other gate uses.

    ``first_seeds``: number of seeds per prompt that are used up already.
    """
    prompts = num_prompts(candidate)
    return [
        real_gate(policy, candidate, prompts * (first_seeds + 2 * index)) for index in range(count)
    ]


def calibration_holds(found: GateCalibration, gates: Sequence[RealGate]) -> bool:
    """Return whether equal pipelines pass often enough, and no margin is below the noise."""
    has_alarm = any(gate.result.verdict == Verdict.REGRESSION for gate in gates)
    is_sound = found.rate_ci95[0] <= 0.05 and all(row.holds for row in found.metrics)
    return is_sound and not has_alarm


def gate_mutation(found: Sequence[BlindnessOutcome]) -> GateMutation:
    """Return the document of the faults that were tried."""
    return GateMutation(
        score=sum(outcome.caught for outcome in found) / len(found),
        catch_rates=catch_rates(found),
        faults=tuple(found),
    )


def real_gate(policy: Policy, candidate: ResolvedSweep, first_seed: int) -> RealGate:
    """Run a whole gate of one pipeline on two seed sets, in a store that is removed afterwards.

    Images pair by prompt. Different seeds are the most noise that a gate can meet.
    """
    second_seed = first_seed + num_prompts(candidate)
    with tempfile.TemporaryDirectory(prefix="turbo-lab-gate-") as folder:
        stored = with_store(candidate, Path(folder))
        first, second = (_with_seed(stored, seed) for seed in (first_seed, second_seed))
        drawn = draw_sides(gate_inputs(policy, first, second))
        assert drawn.reference is not None
        paired = dataclasses.replace(drawn.reference, keys=drawn.candidate.measured.keys)
        result = judge(dataclasses.replace(drawn, reference=paired, same_seeds=False))
    return RealGate(result, first_seed, second_seed)


def _with_seed(sweep: ResolvedSweep, seed: int) -> ResolvedSweep:
    return vary(sweep, lambda request: dataclasses.replace(request, seed=seed))


def num_prompts(sweep: ResolvedSweep) -> int:
    """Return the number of prompts in the prompt set of a sweep of one cell."""
    return len(sweep.library.prompt_sets[sweep.cells[0].prompt_set].prompts)


def _pool(pool: Baseline) -> dict[str, MetricPool]:
    """Return the values of each metric, by prompt and seed."""
    order = by_prompt(pool.keys)
    return {
        m.name: MetricPool(np.array(m.per_image)[order], m.direction, m.unit)
        for m in pool.measurements
    }


def by_prompt(keys: Sequence[Key]) -> np.ndarray:
    """Return the (prompts, seeds) indices of the images."""
    rows: dict[str, list[int]] = {}
    for index, (prompt, _) in enumerate(keys):
        rows.setdefault(prompt, []).append(index)
    return np.array(list(rows.values()))


def _calibrate_distance(drawn: Side, margin: float) -> MetricCalibration:
    from turbo_lab.metrics.reference import load_reference

    context = results.metric_context(drawn.sweep.options.metrics, [])
    if context.reference is None:
        raise InputError("gate.frechet: needs reference=NAME or reference=FILE")
    keys, features, _ = features_of(drawn)
    reference = load_reference(context.reference.path, context.reference.name)
    name = f"fd/{context.extractor.name}"
    return calibrate_distance(name, features[by_prompt(keys)], reference, margin)


def mutate(policy: Policy, candidate: ResolvedSweep) -> list[BlindnessOutcome]:
    """Put every fault into the candidate and make every check of the policy on it.

    A fault that the candidate cannot show is tried with further settings.
    """
    setups = _setups(policy, candidate)

    def checks(setup: CandidateSetup) -> Check:
        return lambda measured: apply_holm(quality_checks(policy, measured, setup.baseline))

    found = blindness(setups, checks)
    if policy.goldens is not None:
        found = _with_goldens(found, policy.goldens)
    if policy.latency is not None:
        found.append(_slower(setups[0], policy.latency))
    if policy.memory is not None:
        found.append(_heavier(setups[0], policy.memory))
    return found


def _with_adapter(request: Request) -> Request:
    return dataclasses.replace(request, num_inference_steps=2, lora=(LoraUse("flat", 0.8),))


def _with_guidance(request: Request) -> Request:
    negative = "a bell on a red background"
    return dataclasses.replace(request, guidance_scale=2.0, negative_prompt=negative)


_FURTHER_SETUPS = (
    ("num_inference_steps=2 lora=flat@0.8", _with_adapter),
    ("guidance_scale=2 negative_prompt='a bell on a red background'", _with_guidance),
)


def _setups(policy: Policy, candidate: ResolvedSweep) -> list[CandidateSetup]:
    """Return the candidate, and two further settings of it if it ships with turbo-lab."""
    is_packaged = any(card.source == "packaged" for card, _ in candidate.library.models.values())
    further = _FURTHER_SETUPS if is_packaged else ()
    sweeps = [("", candidate), *((name, vary(candidate, change)) for name, change in further)]
    metrics = tuple(policy.quality)
    drawn = [(name, draw_side("the candidate", measuring(one, metrics))) for name, one in sweeps]
    return [_setup(name, side) for name, side in drawn]


def _setup(name: str, side: Side) -> CandidateSetup:
    sweep = side.sweep
    context = results.metric_context(
        sweep.options.metrics, list(sweep.library.prompt_sets.values())
    )
    return CandidateSetup(
        name=name,
        cell=sweep.cells[0],
        worker=worker_for(sweep),
        baseline=side.measured,
        context=context,
    )


def _with_goldens(
    found: Sequence[BlindnessOutcome], names: Sequence[str]
) -> list[BlindnessOutcome]:
    """Add the verdicts of the goldens on the same faults, at T0."""
    from turbo_lab.gate.golden_checks import loaded_cases
    from turbo_lab.golden.check import library_judge
    from turbo_lab.golden.library import open_libraries
    from turbo_lab.trials.faults import FAULTS
    from turbo_lab.trials.golden_mutation import mutate as mutate_goldens

    libraries = open_libraries()
    cases, faults = loaded_cases(libraries, names), (*SAMPLE_FAULTS, *FAULTS)
    tried = mutate_goldens(cases, library_judge(libraries[0]), faults=faults, changes=())
    is_caught = {fault.name: fault.caught for fault in tried.faults if fault.cases}
    return [
        dataclasses.replace(
            outcome,
            caught=outcome.caught or is_caught[outcome.name],
            verdicts={
                **outcome.verdicts,
                "goldens": Verdict.REGRESSION if is_caught[outcome.name] else Verdict.PASS,
            },
        )
        if outcome.name in is_caught
        else outcome
        for outcome in found
    ]


def _slower(setup: CandidateSetup, margin: float) -> BlindnessOutcome:
    """Check the latency of a candidate whose UNet takes twice as long."""
    from turbo_lab.runtime.paired_timing import compare_calls

    worker, cell = setup.worker, setup.cell
    worker.prepare(cell.recipe)
    call = worker.timed_call(cell)

    def slow() -> None:
        with slower_unet(worker.resident.pipeline):
            call()

    with worker.thread_count():
        timed = compare_calls(call, slow, "short", worker.resident.device)
    row = ratio_check("latency", timed.blocks_b_s, timed.blocks_a_s, margin)
    return _by_one_check(SLOWER, row)


def _heavier(setup: CandidateSetup, margin: float) -> BlindnessOutcome:
    """Check the memory of a candidate that holds its UNet twice."""
    from turbo_lab.execute.peak_memory import MemorySubject, compare_footprints

    worker, resident = setup.worker, setup.worker.resident
    subject = MemorySubject(
        resident.weights, resident.device, num_threads=worker.num_threads, cell=setup.cell
    )
    peaks = compare_footprints(subject, subject, fault=hold_unet_twice)
    return _by_one_check(HEAVIER, ratio_check("memory", *peaks, margin))


def _by_one_check(fault: str, row: CheckResult) -> BlindnessOutcome:
    caught = row.verdict != Verdict.PASS
    return BlindnessOutcome(
        name=fault,
        setting="",
        caught=caught,
        verdicts={row.name: row.verdict},
        differences={row.name: row.difference},
    )


def catch_rates(found: Sequence[BlindnessOutcome]) -> dict[str, CatchRate]:
    """Return, per check and for the whole gate, how many faults were tried and caught."""
    verdicts: dict[str, list[str]] = {}
    for outcome in found:
        for name, verdict in outcome.verdicts.items():
            verdicts.setdefault(name, []).append(verdict)
    rates = {
        name: CatchRate(caught=sum(one != Verdict.PASS for one in given), asked=len(given))
        for name, given in verdicts.items()
    }
    caught = sum(outcome.caught for outcome in found)
    return {**rates, "gate": CatchRate(caught=caught, asked=len(found))}
