"""Words and numbers on a command line."""

from __future__ import annotations

import os
from collections.abc import Sequence

from turbo_lab.errors import InputError


def unicode_words(words: Sequence[str]) -> list[str]:
    """Return the words, all of which can name a file. Raises ``InputError``.

    A shell gives no other words.
    """
    for word in words:
        try:
            os.fsencode(word)
        except UnicodeEncodeError as error:
            raise InputError(f"{word!a}: is not valid Unicode") from error
    return list(words)


def whole_number(text: str, name: str, least: int = 0) -> int:
    """Return the number in ``name=text``. Raises ``InputError``, also for digits such as ``²``."""
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text}: must be an integer, at least {least}")
    return int(text)
