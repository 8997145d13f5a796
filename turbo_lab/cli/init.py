"""``turbo-lab init``: files to start a project from."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.options import json_option
from turbo_lab.documents.output import print_document


@click.command("init")
@click.argument("model", default="nano-turbo", metavar="[MODEL]")
@click.option("--name", metavar="NAME", help="Name of the policy and of the card of a checkpoint.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Folder of the project; by default, this one.",
)
@json_option
def command(model: str, name: str | None, folder: Path, as_json: bool) -> int:
    """Write goldens to record, a gate policy and a CI workflow for a model.

    MODEL is a model of turbo-lab models list, or a checkpoint's file or folder. No file is
    replaced.

    \b
    turbo-lab init
    turbo-lab init /data/checkpoints/mine.safetensors --name mine
    """
    from turbo_lab.report.text.project import print_project
    from turbo_lab.workflows.project import start_project

    started = start_project(folder, model, name)
    if as_json:
        print_document("init", started)
    else:
        print_project(started)
    return 0
