"""``turbo-lab baseline``: keep what a sweep measured, to compare with later."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.arguments import whole_number
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.groups import Subcommands
from turbo_lab.cli.options import json_option, take_keys
from turbo_lab.compare.baseline import names, own_folder, read_baseline, show_baseline
from turbo_lab.compare.keep_baseline import keep_baseline
from turbo_lab.documents.output import print_document
from turbo_lab.documents.results import BaselineList
from turbo_lab.errors import InputError
from turbo_lab.report.text.baseline import print_kept
from turbo_lab.store.layout import DEFAULT_STORE


@click.group("baseline", cls=Subcommands)
def command() -> None:
    """Keep what a sweep measured in baselines/, to compare with later."""


@command.command("list")
@json_option
def list_(as_json: bool) -> int:
    """List the baselines of this folder and those that ship."""
    found = names(own_folder())
    if as_json:
        print_document("baseline list", BaselineList(tuple(found)))
    else:
        print("\n".join(found) or "none; make one with turbo-lab baseline set NAME SWEEP")
    return 0


@command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> int:
    """Show what a baseline was measured on and with."""
    shown = show_baseline(read_baseline(name, own_folder()))
    if as_json:
        print_document("baseline show", shown)
    else:
        from turbo_lab.report.text.terminal import print_json

        print_json(shown)
    return 0


@command.command("set")
@json_option
@words_argument("NAME SWEEP [cell=N] [store=DIR]")
def set_(words: tuple[str, ...], as_json: bool) -> int:
    """Keep the measurements of one cell of a sweep as baselines/NAME.json."""
    rest, keys = take_keys(words, "store", "cell")
    if len(rest) != 2:
        raise InputError("baseline: usage: baseline set NAME SWEEP [cell=N] [store=DIR]")
    cell = keys.get("cell")
    number = None if cell is None else whole_number(cell, "cell")
    done = keep_baseline(rest[0], Path(keys.get("store", DEFAULT_STORE)), rest[1], number)
    if as_json:
        print_document("baseline set", done)
    else:
        print_kept(done)
    return 0
