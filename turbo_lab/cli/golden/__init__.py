"""``turbo-lab golden``: record, check, accept, reject, list and prune goldens, and test them."""

from __future__ import annotations

import click

from turbo_lab.cli.golden import (
    accept,
    calibrate,
    check,
    invariance,
    mutate,
    prune,
    record,
    reject,
)
from turbo_lab.cli.golden import list as list_
from turbo_lab.cli.groups import Subcommands


@click.group("golden", cls=Subcommands)
def command() -> None:
    """Record, check and maintain golden images.

    The goldens are those in the folder goldens/ of the working directory. If there is none,
    the goldens that ship with turbo-lab are used.
    """


for _module in (record, check, accept, reject, list_, prune, calibrate, mutate, invariance):
    command.add_command(_module.command)
