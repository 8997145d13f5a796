"""Flags, options and keys, taken off a command line."""

from __future__ import annotations

from turbo_lab.errors import InputError


def take_flag(arguments: list[str], flag: str) -> bool:
    """Whether ``flag`` was there; it is taken out."""
    found = flag in arguments
    while flag in arguments:
        arguments.remove(flag)
    return found


def take_option(arguments: list[str], name: str) -> str | None:
    """The value of ``--name VALUE`` or ``--name=VALUE``; it is taken out.

    Raises ``InputError`` for a name with nothing behind it.
    """
    for index, word in enumerate(arguments):
        if word == name:
            if index + 1 == len(arguments):
                raise InputError(f"{name}: needs a value, as in {name}=VALUE")
            value = arguments[index + 1]
            del arguments[index : index + 2]
            return value
        if word.startswith(f"{name}="):
            del arguments[index]
            return word.partition("=")[2]
    return None


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
