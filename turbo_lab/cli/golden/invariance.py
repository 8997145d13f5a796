"""``turbo-lab golden invariance``: check that the way of drawing does not change the result."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.github import no_github_option, tell_github
from turbo_lab.cli.golden.options import case_resolver, only_overrides
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import file_option, json_option, named_files
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.golden import GoldenInvariance
from turbo_lab.documents.output import print_document, write_text
from turbo_lab.golden.library import open_library
from turbo_lab.verdict import Verdict


@click.command("invariance")
@file_option("junit", "the rows as JUnit XML")
@no_github_option
@json_option
@config_dir_option
@words_argument()
def command(words: tuple[str, ...], junit: Path | None, no_github: bool, as_json: bool) -> int:
    """Check that images do not depend on how they are generated.

    Generates every case in other ways: at another position in a batch, with its prompts in
    another order, with another thread count, after a resume, and so on. The exit code is 1 if
    the images change more than such a change allows.
    """
    from turbo_lab.golden.check import library_judge
    from turbo_lab.report import junit as xml
    from turbo_lab.report.markdown import outcomes_markdown
    from turbo_lab.report.outcomes import invariance_outcomes
    from turbo_lab.trials.golden_calibration import load_cases
    from turbo_lab.trials.golden_invariance import invariance

    files = named_files(junit=junit)
    library = open_library()
    cases = load_cases(library, case_resolver(only_overrides(words)))
    rows = invariance(cases, library_judge(library))
    holds = all(row.holds is not False for row in rows)
    result = GoldenInvariance(Verdict.PASS if holds else Verdict.REGRESSION, tuple(rows))
    outcomes = invariance_outcomes(result)
    for path in files.values():
        write_text(path, xml.junit(outcomes), "--junit")
    tell_github(outcomes, outcomes_markdown(outcomes), files, no_github=no_github)
    if as_json:
        print_document("golden invariance", result)
    else:
        from turbo_lab.report.text.golden import print_invariance

        print_invariance(rows)
    return result.verdict.exit_code
