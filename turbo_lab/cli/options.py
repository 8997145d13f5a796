"""Options and arguments that several commands share.

``KEY=VALUE`` words are handed to Hydra's grammar unread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from turbo_lab.cli.completion import complete_keys
from turbo_lab.cli.keys import groups_help, keys_help
from turbo_lab.errors import InputError, unknown_name

_HYDRA_CFG = ("job", "hydra", "all")
_HYDRA_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to standard output."
)
html_option = click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page with tables, plots and images.",
)


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
                "A list of values sweeps a key, several such keys make a grid, range(1,5) counts. "
                "A group's own keys are written group.key=VALUE."
            )


def words_argument(metavar: str = "[KEY=VALUE]...") -> Callable[[Function], Function]:
    """Take all words that are not options, unread."""
    return click.argument(
        "words",
        nargs=-1,
        type=click.UNPROCESSED,
        metavar=metavar,
        shell_complete=lambda context, _, incomplete: complete_keys(
            context.params.get("words") or (), incomplete
        ),
    )


def grid_options(function: Function) -> Function:
    """Add Hydra's own flags; :func:`with_hydra` hands them on."""
    for decorator in (
        click.option("-m", "--multirun", is_flag=True, hidden=True),
        click.option("--hydra-help", is_flag=True, help="Print Hydra's own help."),
        click.option("-p", "--package", metavar="KEY", help="With --cfg: show this part only."),
        click.option("--resolve", is_flag=True, help="With --cfg: resolve interpolations."),
        click.option(
            "-i", "--info", type=click.Choice(_HYDRA_INFO), help="Print what Hydra found."
        ),
        click.option(
            "-c", "--cfg", type=click.Choice(_HYDRA_CFG), help="Print the composed config."
        ),
    ):
        function = decorator(function)
    return function


def take_keys(words: Sequence[str], *names: str) -> tuple[list[str], dict[str, str]]:
    """Split words into those that are not ``KEY=VALUE`` and the values of the keys in ``names``.

    For commands that read a few keys and compose no config. Raises :class:`InputError` for
    another key.
    """
    found: dict[str, str] = {}
    rest = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in names:
            found[key] = value
        elif equals and re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", key) and not Path(word).exists():
            raise unknown_name("key", key, names)
        else:
            rest.append(word)
    return rest, found


def with_hydra(words: Sequence[str], hydra: dict[str, Any]) -> list[str]:
    """Return the words followed by Hydra's flags, as Hydra reads them.

    Raises :class:`InputError` for an option that needs another one.
    """
    hydra.pop("multirun", None)  # it is always one
    for option in ("package", "resolve"):
        if hydra.get(option) and not hydra.get("cfg"):
            raise InputError(f"--{option}: changes what --cfg prints; add --cfg job")
    flags = [f"--{'hydra-help' if k == 'hydra_help' else k}" for k, v in hydra.items() if v is True]
    for key, value in hydra.items():
        if isinstance(value, str):
            flags.append(f"--{key}={value}")
    return [*words, *flags]
