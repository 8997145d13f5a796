"""``turbo-lab store``: check a store, show its size or clean it up."""

from __future__ import annotations

import click

from turbo_lab.cli.groups import Subcommands
from turbo_lab.cli.store import du, gc, verify


@click.group("store", cls=Subcommands)
def command() -> None:
    """Check a store, show its size or clean it up.

    store=DIRECTORY names it (default: turbo-lab-store).
    """


for _module in (verify, du, gc):
    command.add_command(_module.command)
