"""``turbo-lab models show``: everything known about one model."""

from __future__ import annotations

import click

from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.output import print_document


@click.command("show", short_help="Show the files, digest, revision and licence of a model.")
@click.argument("name")
@json_option
@config_dir_option
def command(name: str, as_json: bool) -> int:
    """Show one model: files, digest, revision, licence, and what it was trained on."""
    from turbo_lab.report.text.tables import model_card_text
    from turbo_lab.workflows import catalog

    card = catalog.show_model(name)
    if as_json:
        print_document("models show", card)
    else:
        model_card_text(card)
    return 0
