"""Commands that take a grid: their words and their help.

``KEY=VALUE`` words are handed to Hydra's grammar unread.
"""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from turbo_lab.cards import with_own_groups
from turbo_lab.cli.completion import complete_keys
from turbo_lab.cli.keys import groups_help, keys_help
from turbo_lab.cli.output_files import Function
from turbo_lab.cli.own_groups import OWN_GROUPS


class GridCommand(click.Command):
    """A command that takes a grid; its help lists all keys and their values."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the keys, the groups and how a grid is written."""
        super().format_epilog(ctx, formatter)
        for title, rows in (("Keys", keys_help()), ("Groups", groups_help())):
            with formatter.section(title):
                formatter.write_dl(rows, col_max=38)
        with formatter.section("Grids"):
            formatter.write_text(
                "A list of values sweeps a key, and several such keys make a grid. seed=1-4 and "
                "guidance_scale=0:3:0.5 count, lora=loras/*.safetensors lists files, zip= makes "
                "axes vary together, exclude= leaves points out. A group's own keys are written "
                "group.key=VALUE."
            )


def words_argument(metavar: str = "[KEY=VALUE]...") -> Callable[[Function], Function]:
    """Take all words that are not options, unread."""
    return click.argument(
        "words",
        nargs=-1,
        type=click.UNPROCESSED,
        metavar=metavar,
        shell_complete=_complete,
    )


def _complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    with with_own_groups(context.meta.get(OWN_GROUPS)):
        return complete_keys(context.params.get("words") or (), incomplete)
