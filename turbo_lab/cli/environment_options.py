"""Options of the commands that make environments: ``upgrade`` and ``bisect``."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.output_files import Function


def environment_options(function: Function) -> Function:
    """Add the options of a command that makes environments."""
    options = (
        click.option("--pre", is_flag=True, help="Allow versions before their release."),
        click.option(
            "--installer",
            type=click.Choice(["auto", "uv", "pip"]),
            default="auto",
            help="Program that makes the environment; auto takes uv where it is installed.",
        ),
        click.option(
            "--timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="Longest silence of a process before it is ended.",
        ),
        click.option(
            "--output",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="Folder of the page, the verdict and the logs; by default in upgrade/.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function
