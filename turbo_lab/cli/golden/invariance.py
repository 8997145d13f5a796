"""``turbo-lab golden invariance``: check that the way of drawing does not change the result."""

from __future__ import annotations

import click

from turbo_lab.cli.golden.options import case_resolver, only_overrides
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.documents.golden import GoldenInvariance
from turbo_lab.documents.output import print_document
from turbo_lab.golden.library import open_library
from turbo_lab.verdict import Verdict


@click.command("invariance")
@json_option
@words_argument()
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Check that images do not depend on how they are generated.

    Generates every case in other ways: at another position in a batch, with its prompts in
    another order, with another thread count, after a resume, and so on. The exit code is 1 if
    the images change more than such a change allows.
    """
    from turbo_lab.golden.check import library_judge
    from turbo_lab.trials.golden_calibration import load_cases
    from turbo_lab.trials.golden_invariance import invariance

    library = open_library()
    cases = load_cases(library, case_resolver(only_overrides(words)))
    rows = invariance(cases, library_judge(library))
    holds = all(row.holds is not False for row in rows)
    if as_json:
        verdict = Verdict.PASS if holds else Verdict.REGRESSION
        print_document("golden invariance", GoldenInvariance(verdict, tuple(rows)))
    else:
        from turbo_lab.report.text.golden import print_invariance

        print_invariance(rows)
    return 0 if holds else 1
