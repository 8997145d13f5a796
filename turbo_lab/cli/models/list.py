"""``turbo-lab models list``: every model, adapter and shared part."""

from __future__ import annotations

import click

from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.models import ModelList
from turbo_lab.documents.output import print_document


@click.command("list")
@json_option
@config_dir_option
def command(as_json: bool) -> int:
    """List every model, adapter and shared part, with licence and size."""
    from turbo_lab.report.text.tables import models_table
    from turbo_lab.workflows import catalog

    rows = catalog.list_models()
    if as_json:
        print_document("models list", ModelList(tuple(rows)))
    else:
        models_table(rows)
    return 0
