"""``turbo-lab history``: figures by commit, and what changed in them."""

from __future__ import annotations

import click

from turbo_lab.cli.groups import Subcommands
from turbo_lab.cli.history import record, show, simulate


@click.group("history", cls=Subcommands)
def command() -> None:
    """Keep the numbers of every gate, bench and golden check, and find what changed.

    \b
    turbo-lab gate gate=release --history turbo-lab-history.jsonl
    turbo-lab history show
    """


for _module in (record, show, simulate):
    command.add_command(_module.command)
