"""``turbo-lab golden check``: draw the cases again and compare them with their goldens."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.github import no_github_option, tell_github
from turbo_lab.cli.golden.options import case_resolver, split_words
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.keep import check_history, keep
from turbo_lab.cli.options import file_option, history_option, html_option, json_option, named_files
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.output import print_document
from turbo_lab.golden.library import check_known, open_library, packaged_root


@click.command("check")
@click.option("--explain", is_flag=True, help="Find the stage that causes a difference.")
@file_option("junit", "the cases as JUnit XML")
@file_option("markdown", "the cases as Markdown")
@html_option
@history_option
@no_github_option
@json_option
@config_dir_option
@words_argument("[NAME]... [KEY=VALUE]...")
def command(
    words: tuple[str, ...],
    explain: bool,
    history: Path | None,
    no_github: bool,
    as_json: bool,
    **reports: Path | None,
) -> int:
    """Generate the cases again and compare them with their goldens.

    \b
    turbo-lab golden check
    turbo-lab golden check my-case device=cuda --explain

    Without a name, all cases are checked. KEY=VALUE applies to every case. The exit code is 0
    if all cases pass, 1 for a regression, 3 if a case is not covered, 4 for an error.
    """
    from turbo_lab.golden.check import check, library_judge
    from turbo_lab.report.golden_check import golden_check, write_check
    from turbo_lab.report.markdown import outcomes_markdown
    from turbo_lab.report.outcomes import golden_outcomes
    from turbo_lab.report.text.golden import print_check, print_left_out

    names, overrides = split_words(words)
    files = named_files(**reports)
    check_history(history)
    library = open_library()
    cases = library.cases()
    check_known(names, cases)
    if not names:
        print_left_out(library)
    judge, resolve = library_judge(library), case_resolver(overrides)
    checks = check(library, names or list(cases), judge, explain=explain, resolve=resolve)
    result = golden_check(checks, [] if names else library.orphans(), words)
    keep(history, result)
    write_check(files, result, checks)
    outcomes = golden_outcomes(result)
    tell_github(outcomes, outcomes_markdown(outcomes), files, no_github=no_github)
    if as_json:
        print_document("golden check", result)
    else:
        print_check(result, library.root == packaged_root())
        for form, path in files.items():
            print(f"{form:15} {path}")
    return result.verdict.exit_code
