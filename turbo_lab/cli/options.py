"""Options and arguments that several commands share.

``KEY=VALUE`` words are handed to Hydra's grammar unread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from turbo_lab.cli.output_files import Function, output_option
from turbo_lab.errors import unknown_name

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to standard output."
)


html_option = output_option("--html", "Write a page with tables, plots and images.")
history_option = output_option(
    "--history", "Append the numbers to a history file, for turbo-lab history."
)


def file_option(form: str, text: str) -> Callable[[Function], Function]:
    """Return the option ``--FORM FILE`` of a command that writes a report."""
    return output_option(f"--{form}", f"Write {text}.")


def named_files(**paths: Path | None) -> dict[str, Path]:
    """Return the report files that were named, by form; :func:`checked_output` saw each."""
    return {form: path for form, path in paths.items() if path is not None}


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
