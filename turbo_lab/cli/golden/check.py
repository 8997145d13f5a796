"""``turbo-lab golden check``: draw the cases again and compare them with their goldens."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from turbo_lab.cli.golden.options import case_resolver, split_words
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.keep import check_history, keep
from turbo_lab.cli.options import history_option, html_option, json_option
from turbo_lab.documents.output import check_writable, print_document
from turbo_lab.golden.library import (
    check_known,
    open_library,
    packaged_cases_hidden_by,
    packaged_root,
)


@click.command("check")
@click.option("--explain", is_flag=True, help="Find the stage that causes a difference.")
@html_option
@history_option
@json_option
@words_argument("[NAME]... [KEY=VALUE]...")
def command(
    words: tuple[str, ...],
    explain: bool,
    html: Path | None,
    history: Path | None,
    as_json: bool,
) -> int:
    """Generate the cases again and compare them with their goldens.

    \b
    turbo-lab golden check
    turbo-lab golden check my-case device=cuda --explain

    Without a name, all cases are checked. KEY=VALUE applies to every case. The exit code is 0
    if all cases pass, 1 for a regression, 3 if a case is not covered, 4 for an error.
    """
    from turbo_lab.golden.check import check, library_judge
    from turbo_lab.report.golden_check import golden_check, write_page

    names, overrides = split_words(words)
    if html is not None:
        check_writable(html, "--html")
    check_history(history)
    library = open_library()
    cases = library.cases()
    check_known(names, cases)
    if (hidden := len(packaged_cases_hidden_by(library))) and not names:
        print(
            f"checking the goldens of {library.root}; the {hidden} packaged ones are checked in a "
            "folder without goldens/, and by turbo-lab gate in any",
            file=sys.stderr,
        )
    checks = check(
        library,
        names or list(cases),
        library_judge(library),
        explain=explain,
        resolve=case_resolver(overrides),
    )
    result = golden_check(checks, [] if names else library.orphans(), words)
    keep(history, result)
    if html is not None:
        write_page(html, result, checks)
    if as_json:
        print_document("golden check", result)
    else:
        from turbo_lab.report.text.golden import print_check

        print_check(result, library.root == packaged_root())
        if html is not None:
            print(f"report          {html}")
    return result.verdict.exit_code
