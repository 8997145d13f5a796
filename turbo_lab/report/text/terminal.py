"""The terminal that tables are printed to."""

from __future__ import annotations

import json
import sys

from rich.console import Console

from turbo_lab.untrusted.console import console
from turbo_lab.untrusted.typed_json import to_plain

# Width for a file or a pipe, in characters: wide enough for nearly every row of our tables.
_WIDTH = 120


def open_console() -> Console:
    """Return a console on standard output, as wide as the terminal."""
    return console(sys.stdout, None if sys.stdout.isatty() else _WIDTH)


def print_json(shown: object) -> None:
    """Print a document as indented JSON, for people to read."""
    print(json.dumps(to_plain(shown), indent=2, ensure_ascii=False))
