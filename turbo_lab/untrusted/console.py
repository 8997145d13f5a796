"""A console that prints styles of ours, and no escape sequences of other people."""

from __future__ import annotations

from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from turbo_lab.untrusted.printable import PrintableStream, printable


def console(stream: TextIO, width: int | None = None) -> Console:
    """Return a console on ``stream``; ``width``: in columns, or ``None`` for the terminal's."""
    file = stream.wrapped if isinstance(stream, PrintableStream) else stream
    return _PrintableConsole(file=file, width=width)


class _PrintableConsole(Console):
    """A rich console that escapes each text it is given."""

    def on_broken_pipe(self) -> None:
        """Raise the ``BrokenPipeError`` in flight: rich would exit with 1, a regression to us."""
        raise

    def render_str(self, text: str, *arguments: Any, **options: Any) -> Text:
        """Render a text; rich calls this for each string, those in tables included."""
        return super().render_str(printable(text), *arguments, **options)
