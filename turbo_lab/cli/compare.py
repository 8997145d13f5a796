"""``turbo-lab compare``: a model against its baselines on the same prompts and seeds."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.options import html_option, json_option
from turbo_lab.cli.own_groups import config_dir_option


@click.command("compare", cls=GridCommand)
@html_option
@json_option
@config_dir_option
@words_argument()
def command(words: tuple[str, ...], html: Path | None, as_json: bool) -> int:
    """Compare a model with baselines, or two variants of one, on the same prompts and seeds.

    \b
    turbo-lab compare model=nano-turbo baselines=nano-sdxl,nano-lcm num_images=64
    turbo-lab compare candidate.dtype=bfloat16
    turbo-lab compare model=nano-turbo baselines=nano-sdxl published=on
    turbo-lab compare cells=selection.json

    Keys after candidate. and baseline. belong to one side; published=on adds tables of
    published values.
    """
    from turbo_lab.api.entrants import CompareWords
    from turbo_lab.compare.contenders import (
        compare_entrants,
        compare_report,
        pictures,
        size_warnings,
    )
    from turbo_lab.compare.published import published_tables
    from turbo_lab.documents.output import print_document, write_text

    named = CompareWords.split(words)
    candidate, baselines = named.entrants()
    for text in size_warnings(candidate, baselines):  # before anything is drawn
        print(f"warning: {text}", file=sys.stderr)
    found = compare_entrants(candidate, baselines)
    report = compare_report(found, published_tables() if named.is_published else None)
    if html is not None:
        from turbo_lab.report.html.compare import compare_page

        write_text(html, compare_page(report, pictures(found, report.prompts)), "--html")
    if as_json:
        print_document("compare", report)
    else:
        from turbo_lab.report.text.compare import print_compare

        print_compare(report)
        if html is not None:
            print(f"report          {html}")
    return 0
