"""``turbo-lab gate calibrate`` and ``gate mutate``: tests of the gate itself."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab import config
from turbo_lab.compare.sides import require_one_cell
from turbo_lab.documents.gate import GateCalibrated, GateMutation
from turbo_lab.documents.output import print_document
from turbo_lab.gate import trials
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run import gate_report
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.verdict import Verdict


def calibrate(
    arguments: Sequence[str], seeds: int, resamples: int, *, real: int, as_json: bool
) -> int:
    """Measure how often the gate fails equal pipelines; return the exit code.

    ``real``: number of whole gates to run, each on two seed sets that no other gate uses.
    """
    from turbo_lab.report.text.gate import print_calibration

    words = _words(arguments)
    policy, candidate = _compose(words)
    found = trials.calibrate(policy, candidate, seeds, resamples)
    count = trials.num_prompts(candidate)
    gates = [
        trials.real_gate(policy, candidate, count * (seeds + 2 * index)) for index in range(real)
    ]
    reports = tuple(
        gate_report(
            gate.result,
            [*words, f"seed={gate.candidate_seed}"],
            [*words, f"seed={gate.baseline_seed}"],
        )
        for gate in gates
    )
    calibrated = GateCalibrated(found, reports)
    if as_json:
        print_document("gate calibrate", calibrated)
    else:
        print_calibration(calibrated)
    has_alarm = any(gate.result.verdict == Verdict.REGRESSION for gate in gates)
    is_sound = found.rate_ci95[0] <= 0.05 and all(row.holds for row in found.metrics)
    return 0 if is_sound and not has_alarm else 1


def mutate(arguments: Sequence[str], as_json: bool) -> int:
    """Show which faults in the candidate the gate catches; return the exit code."""
    from turbo_lab.report.text.gate import print_blindness

    found = trials.mutate(*_compose(_words(arguments)))
    mutation = GateMutation(
        score=sum(outcome.caught for outcome in found) / len(found),
        catch_rates=trials.catch_rates(found),
        faults=tuple(found),
    )
    if as_json:
        print_document("gate mutate", mutation)
    else:
        print_blindness(mutation)
    return 0 if mutation.score == 1 else 1


def _words(arguments: Sequence[str]) -> list[str]:
    """Return the candidate's words, with the release policy if none is named."""
    words = [word.removeprefix("candidate.") for word in arguments]
    return words if any(word.startswith("gate=") for word in words) else [*words, "gate=release"]


def _compose(words: Sequence[str]) -> tuple[Policy, ResolvedSweep]:
    points = config.compose("gate", words)
    candidate = require_one_cell("gate", "candidate", resolve_points(points))
    return Policy.from_config(points[0].group("gate")), candidate
