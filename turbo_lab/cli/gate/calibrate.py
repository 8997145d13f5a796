"""``turbo-lab gate calibrate``: how often the gate fails equal pipelines."""

from __future__ import annotations

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.gate import GateCalibrated
from turbo_lab.documents.output import print_document


@click.command("calibrate")
@click.option(
    "--seeds",
    metavar="N",
    default=8,
    show_default=True,
    type=click.IntRange(min=2),
    help="Seeds per prompt.",
)
@click.option(
    "--resamples",
    metavar="N",
    default=1000,
    show_default=True,
    type=click.IntRange(min=8),
    help="Simulated gates, on seeds drawn from one pool.",
)
@click.option(
    "--real",
    metavar="N",
    default=5,
    show_default=True,
    type=click.IntRange(min=0),
    help="Whole gates, each on new seeds.",
)
@json_option
@config_dir_option
@words_argument()
def command(words: tuple[str, ...], seeds: int, resamples: int, real: int, as_json: bool) -> int:
    """Measure how often the gate fails equal pipelines.

    Compares the candidate with itself on other seeds. The exit code is 1 if that fails too
    often, or if a margin of the policy is below the noise.
    """
    from turbo_lab.api.gates import compose_trial, trial_words
    from turbo_lab.gate import trials
    from turbo_lab.report.text.gate import print_calibration

    used = trial_words(words)
    policy, candidate = compose_trial(used)
    found = trials.calibrate(policy, candidate, seeds, resamples)
    gates = trials.real_gates(policy, candidate, first_seeds=seeds, count=real)
    calibrated = GateCalibrated(found, tuple(gate.report(used) for gate in gates))
    if as_json:
        print_document("gate calibrate", calibrated)
    else:
        print_calibration(calibrated)
    return 0 if trials.calibration_holds(found, gates) else 1
