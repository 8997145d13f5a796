"""Failures of a command, in one line on standard error."""

from __future__ import annotations

import sys

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
