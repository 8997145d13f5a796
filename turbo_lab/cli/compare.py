"""``turbo-lab compare``: a model against its baselines on the same prompts and seeds."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.failures import print_note, print_warnings
from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.options import html_option, json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.errors import InputError


@click.command("compare", cls=GridCommand)
@click.option(
    "--markdown", is_flag=True, help="Print a table for a pull request instead of the text."
)
@html_option
@json_option
@config_dir_option
@words_argument()
def command(words: tuple[str, ...], html: Path | None, markdown: bool, as_json: bool) -> int:
    """Compare a model with baselines, or variants of one, on the same prompts and seeds.

    \b
    turbo-lab compare model=nano-turbo baselines=nano-sdxl,nano-lcm num_images=64
    turbo-lab compare candidate.quantization=int8wo,float8wo --markdown
    turbo-lab compare model=nano-turbo baselines=nano-sdxl published=on
    turbo-lab compare cells=selection.json

    Keys after candidate. and baseline. belong to one side; published=on adds tables of
    published values. Exit code 3 if an entrant could not be run or scored.
    """
    from turbo_lab.api.entrants import CompareWords
    from turbo_lab.compare.contenders import compare_entrants, compare_report, pictures
    from turbo_lab.compare.entrant import size_warnings
    from turbo_lab.compare.published import published_tables
    from turbo_lab.compare.tracked import track_comparison
    from turbo_lab.documents.output import print_document, write_text

    if markdown and as_json:
        raise InputError("compare: --markdown and --json both print the result; pass one of them")
    named = CompareWords.split(words)
    candidates, baselines = named.entrants()
    print_warnings(size_warnings(candidates, baselines))  # before anything is drawn
    found = compare_entrants(
        candidates, baselines, is_candidate_reference=named.is_candidate_reference
    )
    report = compare_report(found, published_tables() if named.is_published else None)
    track_comparison(found, report, [*candidates, *baselines], print_note)
    if html is not None:
        from turbo_lab.report.html.compare import compare_page

        write_text(html, compare_page(report, pictures(found, report.prompts)), "--html")
    if as_json:
        print_document("compare", report)
    elif markdown:
        from turbo_lab.report.compare_markdown import compare_markdown

        print(compare_markdown(report), end="")
    else:
        from turbo_lab.report.text.compare import print_compare

        print_compare(report)
        if html is not None:
            print(f"report          {html}")
    return 3 if found.failed else 0
