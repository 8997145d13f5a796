"""Warnings of diffusers, transformers and peft: kept for the record, and printed as before.

Owns the list of libraries, and of their warnings that are left out. A library that ignores a
setting says so only in a warning, which is lost unless the record keeps it.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_LIBRARIES = ("diffusers", "transformers", "peft")
_MAX_LENGTH = 500
# A checkpoint's scheduler config has the keys of every scheduler that it was ever loaded as; keys
# of the user's own are checked before anything is loaded.
_NOT_NEWS = ("scheduler_config.json configuration file", "Already found a `peft_config`")


@contextmanager
def library_warnings() -> Iterator[list[str]]:
    """Collect what the libraries warn of inside, each text once, as notes for a record."""
    found: list[str] = []
    handler = _Collector(found)
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    for logger in loggers:
        logger.addHandler(handler)
    show = warnings.showwarning

    def shown(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        library = _library_of(filename, category)
        if library is not None:
            _keep(found, library, str(message))
        show(message, category, filename, lineno, file, line)

    try:
        with warnings.catch_warnings():
            warnings.showwarning = shown
            yield found
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _Collector(logging.Handler):
    """A handler that keeps warnings, behind the filters of each logger."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        _keep(self._found, record.name.partition(".")[0], record.getMessage())


def _library_of(filename: str, category: type[Warning]) -> str | None:
    """Return the library that warns; ``None`` for others, and for deprecations."""
    if category not in (UserWarning, RuntimeWarning):
        return None
    return next((name for name in _LIBRARIES if name in Path(filename).parts), None)


def _keep(found: list[str], library: str, message: str) -> None:
    text = re.sub(r"\s+", " ", message).strip()[:_MAX_LENGTH]
    note = f"{library} warned: {text}"
    if note not in found and not any(known in text for known in _NOT_NEWS):
        found.append(note)
