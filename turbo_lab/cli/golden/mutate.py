"""``turbo-lab golden mutate``: check that the goldens catch faults."""

from __future__ import annotations

import click

from turbo_lab.cli.golden.options import case_resolver, only_overrides
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.golden import GoldenMutation
from turbo_lab.documents.output import print_document
from turbo_lab.golden.library import open_library


@click.command("mutate")
@json_option
@config_dir_option
@words_argument()
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Check that the goldens catch faults.

    Injects one fault after another into the pipeline, then tries each harmless change. The
    exit code is 1 if a fault is missed or a harmless change raises an alarm.
    """
    from turbo_lab.golden.check import library_judge
    from turbo_lab.trials import golden_mutation
    from turbo_lab.trials.golden_calibration import load_cases

    library = open_library()
    cases = load_cases(library, case_resolver(only_overrides(words)))
    tried = golden_mutation.mutate(cases, library_judge(library))
    mutation = GoldenMutation(tried.score, tried.faults, tried.harmless)
    if as_json:
        print_document("golden mutate", mutation)
    else:
        from turbo_lab.report.text.golden import print_mutation

        print_mutation(mutation)
    return 0 if tried.passes else 1
