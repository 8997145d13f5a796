"""Keys and numbers on a command line."""

from __future__ import annotations

from turbo_lab.errors import InputError


def take_key(arguments: list[str], key: str) -> str | None:
    """Remove ``key=VALUE`` from the words and return the value as Hydra's grammar reads it."""
    for index, word in enumerate(arguments):
        if word.startswith(f"{key}="):
            del arguments[index]
            return word.partition("=")[2]
    return None


def whole_number(text: str, name: str, least: int = 0) -> int:
    """Return the number in ``name=text``. Raises ``InputError``, also for digits such as ``²``."""
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text}: must be an integer, at least {least}")
    return int(text)
