"""``turbo-lab gate mutate``: which faults the gate catches."""

from __future__ import annotations

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.output import print_document


@click.command("mutate")
@json_option
@config_dir_option
@words_argument()
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Show which faults the gate catches.

    Injects one fault after another into the candidate and runs the checks. The exit code is 1 if
    a fault passes all of them.
    """
    from turbo_lab.api.gates import compose_trial, trial_words
    from turbo_lab.gate import trials
    from turbo_lab.report.text.gate import print_blindness

    mutation = trials.gate_mutation(trials.mutate(*compose_trial(trial_words(words))))
    if as_json:
        print_document("gate mutate", mutation)
    else:
        print_blindness(mutation)
    return 0 if mutation.score == 1 else 1
