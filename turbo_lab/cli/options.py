"""Options and arguments that several commands share.

``KEY=VALUE`` words are handed to Hydra's grammar unread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from turbo_lab.errors import unknown_name

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
history_option = click.option(
    "--history",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append the numbers to a history file, for turbo-lab history.",
)


def file_option(form: str, text: str) -> Callable[[Function], Function]:
    """Return the option ``--FORM FILE`` of a command that writes a report."""
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option(f"--{form}", type=kind, metavar="FILE", help=f"Write {text}.")


def named_files(**paths: Path | None) -> dict[str, Path]:
    """Return the report files that were named, by form, once all can be written.

    Raises :class:`InputError`.
    """
    from turbo_lab.documents.output import check_writable

    files = {form: path for form, path in paths.items() if path is not None}
    for form, path in files.items():
        check_writable(path, f"--{form}")
    return files


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
