"""What the commands share: flags off a command line, one JSON document onto standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turbo_lab.store.record import document


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
    from turbo_lab.errors import InputError

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
    from turbo_lab.errors import InputError

    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text}: must be a whole number of at least {least}")
    return int(text)


def check_writable(path: Path, option: str) -> None:
    """A file that ``option`` names can be made; its folder is. Raises ``InputError``."""
    from turbo_lab.errors import InputError

    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a", encoding="utf-8").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise InputError(f"{option}={path}: cannot be written ({error.strerror})") from error


def write_text(path: Path, text: str, option: str) -> None:
    """A file that ``option`` named; its folder is made. Raises ``InputError``."""
    from turbo_lab.errors import InputError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{option}={path}: cannot be written ({error.strerror})") from error


def print_document(kind: str, values: Mapping[str, Any]) -> None:
    """One document with its header; nothing else goes to standard output."""
    print_json(document(kind, values))


def print_json(values: Any) -> None:
    """Strict JSON: no NaN, no escapes for what people read."""
    sys.stdout.write(json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
