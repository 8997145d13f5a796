"""``turbo-lab sweep``: run a grid, measure it and show the results."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.hydra_flags import grid_options, with_hydra
from turbo_lab.cli.options import json_option

if TYPE_CHECKING:
    from turbo_lab.workflows.sweep import FinishedSweep


@click.command("sweep", cls=GridCommand)
@json_option
@click.option("--by", type=click.Choice(["skill"]), help="Split the metrics by the prompts' skill.")
@grid_options
@words_argument()
def command(words: tuple[str, ...], as_json: bool, by: str | None, **hydra: Any) -> int:
    """Run a grid and show its results; without keys, the default sweep.

    \b
    turbo-lab sweep num_inference_steps=1,2,4 lora=none,ink@0.8 prompts=scenes-demo
    """
    from turbo_lab import config
    from turbo_lab.api.selection import compose_points
    from turbo_lab.documents.output import print_document
    from turbo_lab.planning.resolved_sweep import resolve_points
    from turbo_lab.progress import StderrProgress
    from turbo_lab.report.text import tables  # now: the time of the import is part of the total
    from turbo_lab.request.prompts import require_skills
    from turbo_lab.workflows.sweep import run_tracked

    points = compose_points("sweep", config.with_default_sweep(with_hydra(words, hydra)))
    if not points:
        return 0  # one of Hydra's own flags printed
    sweep = resolve_points(points)
    if by is not None:
        require_skills(sweep.library.prompt_sets.values())
    progress = StderrProgress()
    try:
        finished = run_tracked(sweep, progress, began=click.get_current_context().obj)
    finally:
        progress.end()
    if as_json:
        print_document("sweep", finished.result)
    else:
        tables.sweep_table(finished.result)
        if by is not None:
            tables.skills_table(finished.result)
        _print_files(finished)
    return finished.exit_code


def _print_files(finished: FinishedSweep) -> None:
    """Print where the results are, and what to do about cells that failed."""
    result, uri = finished.result, finished.result.tracking_uri
    print(f"\ncontact sheet   {finished.sheet}")
    print(f"results         {finished.document}")
    if uri is not None and uri.startswith("sqlite"):
        print(f"open MLflow     mlflow ui --backend-store-uri {shlex.quote(uri)}")
    elif uri is not None:
        print(f"MLflow          {uri}")
    if result.counts.failed:
        print("try again       run the same command: only what failed is left")
