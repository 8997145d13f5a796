"""``turbo-lab models``: list, show, fetch and verify models."""

from __future__ import annotations

import sys

import click

from turbo_lab.cli.commands import Subcommands
from turbo_lab.cli.options import json_option
from turbo_lab.documents.models import ModelList, ModelsVerified
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.progress import waiting


@click.group("models", cls=Subcommands)
def command() -> None:
    """Show and fetch what can be run; only get downloads, and it asks first."""


@command.command("list")
@json_option
def list_(as_json: bool) -> int:
    """List every model, adapter and shared part, with licence and size."""
    from turbo_lab.report.text.tables import models_table
    from turbo_lab.workflows import catalog

    rows = catalog.list_models()
    if as_json:
        print_document("models list", ModelList(tuple(rows)))
    else:
        models_table(rows)
    return 0


@command.command(short_help="Show the files, digest, revision and licence of a model.")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> int:
    """Show one model: files, digest, revision, licence, and what it was trained on."""
    from turbo_lab.report.text.tables import model_card_text
    from turbo_lab.workflows import catalog

    card = catalog.show_model(name)
    if as_json:
        print_document("models show", card)
    else:
        model_card_text(card)
    return 0


@command.command(short_help="Fetch a model, adapter or VAE from the Hugging Face hub.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Accept the licences shown, and do not ask.")
def get(name: str, yes: bool) -> int:
    """Fetch a model, an adapter or a VAE from the Hugging Face hub; shows the licence and asks."""
    from turbo_lab.workflows.download import downloads, fetch

    needed = downloads(name)
    for one in needed:  # on standard error, like the question about them
        click.echo(
            f"{one.card.repository}  {one.card.revision or 'its newest commit'}\n"
            f"  files    {', '.join(one.files or one.patterns)}\n"
            f"  licence  {one.card.license}\n"
            f"  read in  {one.card.license_source}",
            err=True,
        )
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"models get {name}: nobody is there to ask; add --yes to accept")
        if not click.confirm("Accept the licences and fetch these files?", err=True):
            return 3
    for one in needed:
        print(f"{one.card.repository} is in {fetch(one)}")
    return 0


@command.command()
@json_option
def verify(as_json: bool) -> int:
    """Rehash every known weight file; exit code 3 if one changed."""
    from turbo_lab.identity import DigestCache

    with waiting("hashing every known weight file"):
        found = list(DigestCache().verify())
    changed = [path for path, is_same in found if not is_same]
    if as_json:
        print_document("models verify", ModelsVerified(len(found), tuple(changed)))
        return 3 if changed else 0
    for path in changed:
        print(f"changed  {path}")
    if changed:
        print("\nImages drawn since then are in your stores under the old digest;")
        print("remove those batches, or start another store.")
    print(f"{len(found) - len(changed)} of {len(found)} files match their recorded digests")
    return 3 if changed else 0
