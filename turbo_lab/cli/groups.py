"""Groups of commands: those of the table, and commands that need a subcommand."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module

import click

from turbo_lab.cli.help import HelpContext
from turbo_lab.errors import unknown_name


class LazyCommands(click.Group):
    """Commands of a table; each is imported when it runs."""

    context_class = HelpContext
    table: Mapping[str, str] = {}
    """One line of help per command, by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in self.table:
            return None
        found = import_module(f"turbo_lab.cli.{cmd_name}").command
        assert isinstance(found, click.Command)
        found.context_class = HelpContext  # a context takes no formatter from its parent's
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; raises :class:`InputError` with the nearest name."""
        if args[0] not in self.table and not args[0].startswith("-"):
            raise unknown_name("command", args[0], self.table)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))


class Subcommands(click.Group):
    """A command that needs one of its subcommands."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a subcommand; its help has the layout of the others."""
        cmd.context_class = HelpContext
        super().add_command(cmd, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; raises :class:`click.UsageError` with the nearest name."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(
                f"{args[0]}: unknown.{hint} Valid: {', '.join(sorted(self.commands))}.", ctx
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; raises :class:`click.UsageError` if no subcommand is named."""
        if not args and not ctx.resilient_parsing:  # completion has none yet
            raise click.UsageError(f"name one of {', '.join(self.commands)}.", ctx)
        return super().parse_args(ctx, args)
