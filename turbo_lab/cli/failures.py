"""Failures, warnings and notes of a command, a line each on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from turbo_lab.untrusted.printable import printable, shortened
from turbo_lab.untrusted.redaction import redact


def print_error(text: str) -> None:
    """Print a message without credentials, cut where it quotes a value that is too long."""
    print(f"turbo-lab: {shortened(printable(redact(text)))}", file=sys.stderr)


def one_line(error: click.ClickException) -> str:
    """Return click's message with the command it is about and where to read more."""
    text = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    if context is None or context.parent is None:
        return text
    path = context.command_path.removeprefix("turbo-lab ")
    return f"{path}: {text} See turbo-lab {path} --help."


def print_note(text: str) -> None:
    """Print a line about something that did not fail the command to standard error."""
    print(text, file=sys.stderr)


def print_warnings(texts: Iterable[str]) -> None:
    """Print warnings to standard error, one per line."""
    for text in texts:
        print_note(f"warning: {text}")
