"""``turbo-lab export``: a sweep's images and tables in a folder, for other tools."""

from __future__ import annotations

import sys

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option, take_keys
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.untrusted.paths import output_path


@click.command("export")
@json_option
@words_argument("SWEEP DIR [store=DIR]")
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Copy a sweep into a folder: images by axis value, CSV tables and the contact sheet.

    SWEEP is a sweep's id or its first digits, or a sweep.json. DIR must be new or empty. Exit
    code 3 if images that the sweep names are missing.

    \b
    turbo-lab export 1a2b3c results
    """
    from turbo_lab.workflows.export import export_sweep
    from turbo_lab.workflows.sweep_report import find_sweep, read_sweep

    rest, keys = take_keys(words, "store")
    if len(rest) != 2:
        raise InputError("export: name a sweep and a folder, as in turbo-lab export 1a2b3c results")
    store = keys.get("store")
    folder = output_path(rest[1], "export: DIR")
    exported = export_sweep(read_sweep(find_sweep(rest[0], store), store), folder)
    if as_json:
        print_document("export", exported)
    else:
        print(f"exported        {exported.folder} ({exported.images} images)")
    if exported.missing_images:
        print(
            f"{exported.missing_images} images not found; pass store=DIR if the store was moved",
            file=sys.stderr,
        )
    return 3 if exported.missing_images else 0
