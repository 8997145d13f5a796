"""Text of other people on a terminal: shown, never acted upon.

A prompt, a file name or a record may hold escape sequences that move the cursor, rename the
window or reverse the direction of text. They are printed as escapes, such as ``\\x1b``.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

# Control characters except tab and line feed, line and paragraph separators, the marks that
# change the direction of text (https://trojansource.codes), and what no encoding has.
_ACTED_UPON = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_MAX_MESSAGE = 1500


def printable(text: str) -> str:
    """Return a text with everything escaped that a terminal would act upon."""
    return _ACTED_UPON.sub(_escape, text)


def printable_json(text: str, encoding: str) -> str:
    """Return a JSON text with the same meaning that a terminal of ``encoding`` can show."""
    text = _ACTED_UPON.sub(_json_escape, text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7e]", _json_escape, text)
    return text


def shortened(text: str) -> str:
    """Return a message without its middle where it is too long to read."""
    return text if len(text) <= _MAX_MESSAGE else f"{text[:1000]} … {text[-400:]}"


@contextlib.contextmanager
def printable_output() -> Iterator[None]:
    """Escape what is printed inside, and what the terminal's encoding lacks.

    :func:`turbo_lab.untrusted.console.console` prints text with styles.
    """
    saved = sys.stdout, sys.stderr
    # Progress bars of other packages return to the start of their line.
    wrapped = PrintableStream(saved[0]), PrintableStream(saved[1], kept="\r")
    sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], wrapped)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = saved


class PrintableStream:
    """A text stream that escapes what is written to it."""

    def __init__(self, wrapped: TextIO, kept: str = "") -> None:
        """Write to ``wrapped``; the characters in ``kept`` pass as they are."""
        self.wrapped = wrapped
        self._kept = kept

    def write(self, text: str) -> int:
        """Write a text, escaped; returns its length."""
        shown = _ACTED_UPON.sub(
            lambda found: found[0] if found[0] in self._kept else _escape(found), text
        )
        encoding = self.wrapped.encoding or "utf-8"
        self.wrapped.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream that this one writes to."""
        return getattr(self.wrapped, name)


def _escape(found: re.Match[str]) -> str:
    """Return a character as Python writes it in a literal."""
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _json_escape(found: re.Match[str]) -> str:
    """Return a character as JSON writes it: as UTF-16 code units."""
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
