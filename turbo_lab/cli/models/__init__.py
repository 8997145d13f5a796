"""``turbo-lab models``: list, show, fetch and verify models."""

from __future__ import annotations

import click

from turbo_lab.cli.groups import Subcommands
from turbo_lab.cli.models import get, show, verify
from turbo_lab.cli.models import list as list_


@click.group("models", cls=Subcommands)
def command() -> None:
    """Show and fetch models; only get downloads anything, and it asks first."""


for _module in (list_, show, get, verify):
    command.add_command(_module.command)
