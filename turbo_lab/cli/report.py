"""``turbo-lab report``: a finished sweep as one file: a page, a table or a model card."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from turbo_lab.cli.follow import follow
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option, take_keys
from turbo_lab.cli.output_files import output_option
from turbo_lab.documents.output import print_document, write_text
from turbo_lab.documents.results import WrittenReport
from turbo_lab.errors import InputError

_FORMATS = {
    "html": "report.html",
    "markdown": "report.md",
    "csv": "report.csv",
    "parquet": "report.parquet",
    "model-card": "model-card.md",
}


@click.command("report")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMATS)),
    default="html",
    show_default=True,
    help="What to write.",
)
@output_option("--output", "File to write (default: report.html and so on).")
@click.option("--images", type=click.IntRange(min=0), metavar="N", help="Images shown per cell.")
@click.option(
    "--follow", "is_followed", is_flag=True, help="Serve the page here while the sweep runs."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of --follow.")
@json_option
@words_argument("SWEEP [store=DIR]")
def command(
    words: tuple[str, ...],
    form: str,
    output: Path | None,
    images: int | None,
    is_followed: bool,
    port: int,
    as_json: bool,
) -> int:
    """Write a sweep as one file: metrics, plots and images.

    SWEEP is a sweep's id or its first digits, or a sweep.json. Exit code 3 if images that the
    sweep names are missing. With --follow, SWEEP may be left out: the newest one.
    """
    from turbo_lab.workflows.sweep_report import find_sweep, read_sweep, report_content

    rest, keys = take_keys(words, "store")
    store = keys.get("store")
    if is_followed:
        return follow(rest, store, port, images, bool(output or as_json or form != "html"))
    if len(rest) != 1:
        raise InputError("report: name one sweep, as in turbo-lab report 1a2b3c, or a sweep.json")
    path = find_sweep(rest[0], store)
    sweep = read_sweep(path, store)
    target = output or Path(_FORMATS[form])
    if output is None and target.is_symlink():
        raise InputError(f"{target}: is a symbolic link; name the file to write with --output")
    content, missing = report_content(sweep, form, target, images)
    write_text(target, content, "--output")
    if as_json:
        print_document("report", WrittenReport(target.resolve(), sweep.sweep_id, missing))
    else:
        print(f"report          {target}")
    if missing:
        print(f"{missing} images not found; pass store=DIR if the store was moved", file=sys.stderr)
    return 3 if missing else 0
