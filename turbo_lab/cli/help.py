"""The layout of ``--help``: lines break at spaces, never inside a name."""

from __future__ import annotations

from collections.abc import Iterable

import click

# Takes the place of a hyphen while click wraps: click would break a line after each hyphen.
_UNBROKEN = "\N{NON-BREAKING HYPHEN}"


class HelpFormatter(click.HelpFormatter):
    """click's formatter, without line breaks inside ``nano-turbo`` or ``--dry-run``."""

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace("-", _UNBROKEN))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write terms and their descriptions in two columns."""
        kept = [(term, text.replace("-", _UNBROKEN)) for term, text in rows]
        super().write_dl(kept, col_max, col_spacing)

    def getvalue(self) -> str:
        """Return everything that was written."""
        return super().getvalue().replace(_UNBROKEN, "-")


class HelpContext(click.Context):
    """Context of a command whose help has this layout."""

    formatter_class = HelpFormatter
