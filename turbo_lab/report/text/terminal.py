"""The terminal that tables are printed to."""

from __future__ import annotations

import sys

from rich.console import Console

from turbo_lab.untrusted.console import console

# Width for a file or a pipe, in characters: wide enough for nearly every row of our tables.
_WIDTH = 120


def open_console() -> Console:
    """Return a console on standard output, as wide as the terminal."""
    return console(sys.stdout, None if sys.stdout.isatty() else _WIDTH)
