"""Flags, options and keys, taken off a command line."""

from __future__ import annotations

from turbo_lab.errors import InputError


def take_key(arguments: list[str], key: str) -> str | None:
    """The value of ``key=VALUE``, as the config's grammar has it; it is taken out."""
    for index, word in enumerate(arguments):
        if word.startswith(f"{key}="):
            del arguments[index]
            return word.partition("=")[2]
    return None


def whole_number(text: str, name: str, least: int = 0) -> int:
    """What ``name=text`` says. Raises ``InputError``; ``²`` is a digit and no number."""
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text}: must be a whole number of at least {least}")
    return int(text)
