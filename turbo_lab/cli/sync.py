"""``turbo-lab sync``: replay a store into MLflow."""

from __future__ import annotations

from typing import Any

import click

from turbo_lab.cli.options import GridCommand, grid_options, json_option, with_hydra, words_argument


@click.command("sync", cls=GridCommand)
@json_option
@grid_options
@words_argument()
def command(words: tuple[str, ...], as_json: bool, **hydra: Any) -> int:
    """Replay every sweep of a store into MLflow; what is there already is not added again.

    \b
    turbo-lab sync tracking=server tracking.uri=http://localhost:5000
    """
    from turbo_lab import config
    from turbo_lab.workflows.sync import sync_store

    points = config.compose("sync", with_hydra(words, hydra))
    return sync_store(points[0].values, as_json) if points else 0
