"""``turbo-lab gate calibrate`` and ``gate mutate``: the gate put to the test."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from turbo_lab import config
from turbo_lab.cli.arguments import take_flag, take_option, whole_number
from turbo_lab.cli.gate import draw_sides, judge
from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import Key, Row, hold_family
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import worker_for
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run_checks import draw_side, features_of, loaded_cases, quality_checks, side_of
from turbo_lab.request.recipe import as_plain
from turbo_lab.verdict import Verdict
from turbo_lab.workflows import results

if TYPE_CHECKING:
    from turbo_lab.gate.calibration import Figures, MetricCalibration
    from turbo_lab.gate.mutation import BlindnessOutcome, Check, Setting
    from turbo_lab.workflows.sweep import Executed


_MORE_SETTINGS = (
    ("num_inference_steps=2", "lora=flat@0.8"),
    ("guidance_scale=2", "negative_prompt='a bell on a red background'"),
)


def calibrate(arguments: list[str]) -> int:
    """``gate calibrate [gate=NAME] [--seeds 8] [--resamples 1000] [--real 5]``: equal pipelines.

    ``--real``: also run this many whole gates, each on two seed sets of its own.
    """
    from turbo_lab.gate.calibration import calibrate_gate
    from turbo_lab.report.text.gate import print_calibration

    as_json = take_flag(arguments, "--json")
    seeds = _number(take_option(arguments, "--seeds"), "--seeds", 8, 2)
    resamples = _number(take_option(arguments, "--resamples"), "--resamples", 1000, 8)
    real = _number(take_option(arguments, "--real"), "--real", 5, 0)
    arguments, policy = _with_policy(arguments)
    if not policy.quality:
        raise InputError("gate calibrate: the policy has no quality figure to calibrate")
    prompts = len(compose_prompts(arguments))
    drawn = draw_side("candidate", [*arguments, f"num_images={prompts * seeds}"], policy)
    found = calibrate_gate(_pool(side_of(drawn)), policy.quality, resamples=resamples)
    if policy.frechet is not None:
        distance = _calibrate_distance(drawn, policy.frechet)
        found = dataclasses.replace(found, metrics=(*found.metrics, distance))
    gates = [_real_gate(policy, arguments, prompts, prompts * (seeds + 2 * i)) for i in range(real)]
    values_ = {**as_plain(found), "real": gates}
    if as_json:
        print_document("gate calibrate", values_)
    else:
        print_calibration(values_)
    alarms = sum(row["verdict"] == Verdict.REGRESSION for row in gates)
    sound = found.rate_ci95[0] <= 0.05 and all(row.holds for row in found.metrics)
    return 0 if sound and not alarms else 1


def _real_gate(
    policy: Policy, arguments: Sequence[str], count: int, first_seed: int
) -> dict[str, Any]:
    """A whole gate of one pipeline on two seed sets, paired by prompt, in a store of its own."""
    with tempfile.TemporaryDirectory(prefix="turbo-lab-gate-") as folder:
        overrides = {
            side: [*arguments, f"store={folder}", f"seed={first_seed + offset}"]
            for side, offset in (("candidate", 0), ("baseline", count))
        }
        sides = draw_sides(policy, overrides, has_baseline=True)
        assert sides.stored is not None
        paired = dataclasses.replace(sides.stored, keys=side_of(sides.candidate).keys)
        return judge(policy, dataclasses.replace(sides, stored=paired, same_seeds=False))


def _calibrate_distance(drawn: Executed, margin: float) -> MetricCalibration:
    from turbo_lab.gate.calibration import calibrate_distance
    from turbo_lab.metrics.reference import load_reference

    context = results.metric_context(drawn.sweep.options.metrics, [])
    if context.reference is None:
        raise InputError("gate.frechet: needs reference=NAME or reference=FILE")
    keys, features, _ = features_of(drawn)
    reference = load_reference(context.reference.path, context.reference.name)
    name = f"fd/{context.extractor.name}"
    return calibrate_distance(name, features[_order(keys)], reference, margin)


def mutate(arguments: list[str]) -> int:
    """``gate mutate [gate=NAME]``: which faults each check would see.

    Faults that the candidate cannot show are tried at further settings of it.
    """
    from turbo_lab.gate.mutation import blindness
    from turbo_lab.report.text.gate import print_blindness

    as_json = take_flag(arguments, "--json")
    arguments, policy = _with_policy(arguments)
    settings = _settings(arguments, policy)

    def checks(setting: Setting) -> Check:
        return lambda candidate: hold_family(quality_checks(policy, candidate, setting.baseline))

    found = blindness(settings, checks)
    if policy.goldens is not None:
        found = _with_goldens(found, policy.goldens)
    if policy.latency is not None:
        found.append(_slower(settings[0], policy.latency))
    if policy.memory is not None:
        found.append(_heavier(settings[0], policy.memory))
    values = {
        "score": sum(outcome.caught for outcome in found) / len(found),
        "catch_rates": _catch_rates(found),
        "faults": as_plain(found),
    }
    if as_json:
        print_document("gate mutate", values)
    else:
        print_blindness(values)
    return 0 if values["score"] == 1 else 1


def _settings(arguments: Sequence[str], policy: Policy) -> list[Setting]:
    """The candidate as it is named, and where it ships with turbo-lab two further settings."""
    done = draw_side("candidate", arguments, policy)
    packaged = any(card.source == "packaged" for card, _ in done.sweep.library.models.values())
    further = [
        (" ".join(own), draw_side("candidate", [*arguments, *own], policy))
        for own in (_MORE_SETTINGS if packaged else ())
    ]
    return [_setting(name, drawn) for name, drawn in (("", done), *further)]


def _setting(name: str, done: Executed) -> Setting:
    from turbo_lab.gate.mutation import Setting

    sweep = done.sweep
    context = results.metric_context(
        sweep.options.metrics, list(sweep.library.prompt_sets.values())
    )
    return Setting(name, sweep.cells[0], worker_for(sweep), side_of(done), context)


def _with_goldens(
    found: Sequence[BlindnessOutcome], names: Sequence[str]
) -> list[BlindnessOutcome]:
    """What the goldens say of the same faults, at T0."""
    from turbo_lab.gate.mutation import SAMPLE_FAULTS
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.golden.library import open_library
    from turbo_lab.golden.thresholds import thresholds_of
    from turbo_lab.trials.faults import FAULTS
    from turbo_lab.trials.golden_mutation import mutate as mutate_goldens

    library = open_library()
    cases, faults = loaded_cases(library, names), (*SAMPLE_FAULTS, *FAULTS)
    tried, _ = mutate_goldens(cases, thresholds_of(library), judge_embed(), faults, ())
    said = {fault.name: fault.caught for fault in tried if fault.cases}
    return [
        dataclasses.replace(
            outcome,
            caught=outcome.caught or said[outcome.name],
            verdicts=outcome.verdicts
            | {"goldens": Verdict.REGRESSION if said[outcome.name] else Verdict.PASS},
        )
        if outcome.name in said
        else outcome
        for outcome in found
    ]


def _slower(setting: Setting, margin: float) -> BlindnessOutcome:
    """The latency check of a candidate whose UNet takes twice as long."""
    from turbo_lab.gate import checks as gate
    from turbo_lab.gate.mutation import SLOWER, slower_unet
    from turbo_lab.runtime.paired_timing import compare_calls

    worker, cell = setting.worker, setting.cell
    worker.prepare(cell.recipe)
    call = worker.stock_call(cell)

    def slow() -> None:
        with slower_unet(worker):
            call()

    with worker.thread_count():
        found = compare_calls(call, slow, "short", worker.device)
    return _by_one_check(
        SLOWER, gate.ratio_check("latency", found.blocks_b_s, found.blocks_a_s, margin)
    )


def _heavier(setting: Setting, margin: float) -> BlindnessOutcome:
    """The memory check of a candidate that holds its UNet twice."""
    from turbo_lab.execute.peak_memory import compare_footprints
    from turbo_lab.gate import checks as gate
    from turbo_lab.gate.mutation import HEAVIER, hold_unet_twice

    worker = setting.worker
    side = (worker.weights, worker.device, worker.num_threads, setting.cell)
    peaks = compare_footprints(side, side, fault=hold_unet_twice)
    return _by_one_check(HEAVIER, gate.ratio_check("memory", *peaks, margin))


def _by_one_check(fault: str, row: Row) -> BlindnessOutcome:
    from turbo_lab.gate.mutation import BlindnessOutcome

    caught = row.verdict != Verdict.PASS
    return BlindnessOutcome(fault, "", caught, {row.name: row.verdict}, {row.name: row.difference})


def _catch_rates(found: Sequence[BlindnessOutcome]) -> dict[str, dict[str, int]]:
    """By check: faults that it did not pass, of those that it was asked about; then the gate."""
    rates: dict[str, dict[str, int]] = {}
    for outcome in found:
        for name, verdict in outcome.verdicts.items():
            row = rates.setdefault(name, {"caught": 0, "asked": 0})
            row["caught"] += verdict != Verdict.PASS
            row["asked"] += 1
    caught = sum(outcome.caught for outcome in found)
    return {**rates, "gate": {"caught": caught, "asked": len(found)}}


def compose_prompts(arguments: Sequence[str]) -> tuple[str, ...]:
    """The prompts that a candidate would draw."""
    from turbo_lab.planning.resolved_sweep import resolve_points

    (found,) = resolve_points(config.compose("gate", arguments)).library.prompt_sets.values()
    return found.prompts


def _with_policy(arguments: list[str]) -> tuple[list[str], Policy]:
    """The release policy where none is named."""
    if not any(a.startswith("gate=") for a in arguments):
        arguments = [*arguments, "gate=release"]
    arguments = [a.removeprefix("candidate.") for a in arguments]
    values = config.compose("gate", arguments)[0].values
    return arguments, Policy.from_config(values["gate"])


def _pool(pool: Baseline) -> dict[str, Figures]:
    """By metric."""
    from turbo_lab.gate.calibration import Figures

    order = _order(pool.keys)
    return {
        m.name: Figures(np.array(m.per_image)[order], m.direction, m.unit)
        for m in pool.measurements
    }


def _order(keys: Sequence[Key]) -> np.ndarray:
    """(prompts, seeds) indices of the images."""
    rows: dict[str, list[int]] = {}
    for index, (prompt, _) in enumerate(keys):
        rows.setdefault(prompt, []).append(index)
    return np.array(list(rows.values()))


def _number(text: str | None, option: str, default: int, least: int) -> int:
    return default if text is None else whole_number(text, option, least)
