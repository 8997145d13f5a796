"""``turbo-lab gate calibrate`` and ``gate mutate``: the gate put to the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from turbo_lab import results
from turbo_lab.baseline import Baseline
from turbo_lab.commands.gate_checks import draw_side, quality_checks, side_of
from turbo_lab.commands.sides import compose_points, worker_of
from turbo_lab.commands.words import print_document, take_flag, take_option
from turbo_lab.compare import Row, hold_family
from turbo_lab.errors import InputError
from turbo_lab.policy import Policy
from turbo_lab.spec import as_plain


def calibrate(arguments: list[str]) -> int:
    """``gate calibrate [gate=NAME] [--seeds 8] [--resamples 1000]``: equal pipelines."""
    from turbo_lab.trials.gate_calibration import calibrate_gate

    as_json = take_flag(arguments, "--json")
    seeds = _number(take_option(arguments, "--seeds"), "--seeds", 8)
    resamples = _number(take_option(arguments, "--resamples"), "--resamples", 1000)
    arguments, policy = _with_policy(arguments)
    prompts = len(compose_prompts(arguments))
    pool = side_of(draw_side("candidate", [*arguments, f"num_images={prompts * seeds}"], policy))
    values, directions = _pool(pool)
    found = calibrate_gate(values, policy.quality, directions, resamples=resamples)
    if as_json:
        print_document("gate calibrate", as_plain(found))
    else:
        low, high = found.rate_ci95
        rate = found.false_alarms / found.resamples
        print(
            f"false alarms    {found.false_alarms} of {found.resamples} pairs of disjoint seed "
            f"sets: {rate:.1%} ({low:.1%} to {high:.1%}), nominal 5%"
        )
        for row in found.metrics:
            word = "holds" if row.holds else "is below the noise"
            print(
                f"{row.name:15} margin {row.margin:g} {word}: equal pipelines pass "
                f"{row.passes:.0%}; smallest that holds {row.smallest_margin:.3g}"
            )
    return 0 if found.rate_ci95[0] <= 0.05 and all(row.holds for row in found.metrics) else 1


def mutate(arguments: list[str]) -> int:
    """``gate mutate [gate=NAME]``: which faults the quality checks would see."""
    from turbo_lab.trials.gate_blindness import blindness

    as_json = take_flag(arguments, "--json")
    arguments, policy = _with_policy(arguments)
    done = draw_side("candidate", arguments, policy)
    baseline = side_of(done)
    context = results.metric_context(
        done.sweep.values, list(done.sweep.library.prompt_sets.values())
    )

    def check(candidate: Baseline) -> Sequence[Row]:
        return hold_family(quality_checks(policy, candidate, baseline))

    found = blindness(done.sweep.cells[0], worker_of(done.sweep), baseline, context, check)
    caught = sum(outcome.caught for outcome in found)
    if as_json:
        print_document("gate mutate", {"score": caught / len(found), "faults": as_plain(found)})
    else:
        for outcome in found:
            word = "caught" if outcome.caught else "missed"
            parts = [
                f"{name} {_signed(value)} {outcome.verdicts[name]}"
                for name, value in outcome.differences.items()
            ]
            print(f"{outcome.name:32} {word}  {', '.join(parts)}")
        print(f"\n{caught} of {len(found)} faults caught by the quality checks alone")
    return 0


def compose_prompts(arguments: Sequence[str]) -> tuple[str, ...]:
    """The prompts that a candidate would draw."""
    from turbo_lab.planning import resolve_points

    (found,) = resolve_points(compose_points("gate", arguments)).library.prompt_sets.values()
    return found.prompts


def _with_policy(arguments: list[str]) -> tuple[list[str], Policy]:
    """The release policy where none is named."""
    if not any(a.startswith("gate=") for a in arguments):
        arguments = [*arguments, "gate=release"]
    arguments = [a.removeprefix("candidate.") for a in arguments]
    values = compose_points("gate", arguments)[0].values
    return arguments, Policy.from_config(values["gate"])


def _pool(pool: Baseline) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(prompts, seeds) values by metric, and which way each is better."""
    rows: dict[str, list[int]] = {}
    for index, (prompt, _) in enumerate(pool.keys):
        rows.setdefault(prompt, []).append(index)
    order = np.array(list(rows.values()))
    values = {m.name: np.array(m.per_image)[order] for m in pool.measurements}
    return values, {m.name: m.direction for m in pool.measurements}


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3g}"


def _number(text: str | None, option: str, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"{option}={text}: must be a whole number of at least 1")
    return int(text)
