"""Numbers on a command line."""

from __future__ import annotations

from turbo_lab.errors import InputError


def whole_number(text: str, name: str, least: int = 0) -> int:
    """Return the number in ``name=text``. Raises ``InputError``, also for digits such as ``²``."""
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text}: must be an integer, at least {least}")
    return int(text)
