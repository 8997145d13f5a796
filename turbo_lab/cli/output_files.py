"""Options that name a file to write to, each checked before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from turbo_lab.documents.output import check_writable
from turbo_lab.untrusted.paths import output_path

Function = TypeVar("Function", bound=Callable[..., Any])


def checked_output(
    context: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Return the path that an option names to write to.

    Raises :class:`InputError` for one that cannot be written to, before any work.
    """
    if path is None:
        return None
    found = output_path(path, parameter.opts[0])
    check_writable(found, parameter.opts[0])
    return found


def output_option(
    name: str, text: str, default: Path | None = None
) -> Callable[[Function], Function]:
    """Return an option that names a file to write to; ``text`` is its help."""
    return click.option(
        name,
        type=click.Path(path_type=Path),
        metavar="FILE",
        default=default,
        show_default=default is not None,
        callback=checked_output,
        help=text,
    )
