"""``turbo-lab sync``: replay a store into MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from turbo_lab.cli.failures import print_note
from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.hydra_flags import grid_options, with_hydra
from turbo_lab.cli.options import json_option
from turbo_lab.errors import InputError

if TYPE_CHECKING:
    from turbo_lab.config import GridPoint
    from turbo_lab.workflows.sync import SyncedSweep


@click.command("sync", cls=GridCommand)
@json_option
@grid_options
@words_argument()
def command(words: tuple[str, ...], as_json: bool, **hydra: Any) -> int:
    """Replay a store's sweeps, comparisons and gates into MLflow.

    Runs that exist are completed, not added again.

    \b
    turbo-lab sync tracking=server tracking.uri=http://localhost:5000
    """
    from turbo_lab import config

    points = config.compose("sync", with_hydra(words, hydra))
    return _sync(points[0], as_json) if points else 0


def _sync(point: GridPoint, as_json: bool) -> int:
    """Replay every sweep of a store into MLflow; return 3 if one could not be, otherwise 0."""
    from turbo_lab.documents.output import print_document
    from turbo_lab.planning.options import RunOptions
    from turbo_lab.store.store import Store
    from turbo_lab.tracking import Tracker
    from turbo_lab.workflows.sync import sync_result, sync_store

    options = RunOptions.from_config(point.values)
    tracker = Tracker.from_options(options.tracking)
    if tracker is None:
        raise InputError(
            "tracking=none: name where to replay to: tracking=local or tracking=server"
        )
    store, uri = Store.existing(options.store), tracker.settings.public_uri
    synced = []
    for sweep in sync_store(store, tracker, print_note):
        synced.append(sweep)
        if sweep.error is not None:
            print_note(f"{sweep.sweep_id}  {sweep.error}")
        elif not as_json:
            print(f"{sweep.sweep_id}  {uri}{_cut_off(sweep)}")
    result = sync_result(uri, synced)
    if as_json:
        print_document("sync", result)
    elif not synced:
        print(f"{store.root}: has no sweeps")
    return 3 if result.failed else 0


def _cut_off(sweep: SyncedSweep) -> str:
    if sweep.begun_cells is None:
        return ""
    return f"  cut off: {sweep.cells} of {sweep.begun_cells} cells; its command resumes it"
