"""The terminal that tables are printed to."""

from __future__ import annotations

import sys

from rich.console import Console

# Columns where standard output is a file or a pipe: wide enough for nearly every row of ours.
_WIDTH = 120


def open_console() -> Console:
    """Standard output, as wide as the terminal is."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH)
