"""``turbo-lab models get``: fetch the files of a model after its licence was shown."""

from __future__ import annotations

import sys

import click

from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.models import ModelsFetched
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError


@click.command("get", short_help="Fetch a model, adapter or VAE from the Hugging Face hub.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Accept the licences shown, and do not ask.")
@json_option
@config_dir_option
def command(name: str, yes: bool, as_json: bool) -> int:
    """Fetch a model, an adapter or a VAE from the Hugging Face hub; shows the licence and asks."""
    from turbo_lab.report.text.models import print_downloads
    from turbo_lab.workflows.download import downloads, fetch

    needed = downloads(name)
    print_downloads(needed)
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"models get {name}: nobody is there to ask; add --yes to accept")
        if not click.confirm("Accept the licences and fetch these files?", err=True):
            return 3
    found = [fetch(one) for one in needed]
    if as_json:
        print_document("models get", ModelsFetched(tuple(found)))
    else:
        for got in found:
            print(f"{got.repository} is in {got.path}")
    return 0
