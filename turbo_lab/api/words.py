"""Python values as the ``KEY=VALUE`` words of the command line.

Owns the rule that any text is passed as a text, with all its characters. Refuses values that no
configuration key takes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import TypeGuard

from turbo_lab import config
from turbo_lab.errors import InputError

_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*", flags=re.ASCII)
# What Hydra reads as text without quotes; neither a range nor a pattern of files.
_BARE = re.compile(r"[A-Za-z_]\w*([-./@+]+\w+)*", flags=re.ASCII)
_NOT_TEXT = ("true", "false", "null", "nan", "inf")
# Keys whose value is a list: for any other, a list is an axis.
_LISTS = ("zip", "exclude")
# Keys whose value is a dictionary: for any other, it sets the keys below its own.
_DICTIONARIES = ("model.scheduler",)
_LIST_GROUP = "gate."
_FOLDER_KEY = "model.path"
_MISSING = "???"


def all_words(command: str, words: Sequence[str], keys: Mapping[str, object]) -> list[str]:
    """Return the words of a call: those that were passed as such, then those of the keywords."""
    for word in words:
        if not isinstance(word, str) or word.startswith("-") or "=" not in word:
            raise InputError(
                f"{command}: {word!r} is not a KEY=VALUE word; pass keys as keywords, as in "
                "seed=7, or words, as in 'seed=1-4'"
            )
    return [*words, *key_words(keys)]


def key_words(keys: Mapping[str, object]) -> list[str]:
    """Return one word per key.

    A list, tuple, range or other sequence is an axis, a dictionary sets the keys below its own,
    and ``None`` is ``null``. Raises :class:`InputError` for anything else that is not text, a
    path, a number or true or false.
    """
    return [word for key, value in keys.items() for word in _words_of(key, value)]


def _words_of(key: str, value: object) -> Iterator[str]:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InputError(f"{key!r}: is not a key; write names with dots, as in model.path")
    if hasattr(value, "tolist"):  # an array of numpy, or one of its numbers
        value = value.tolist()
    if isinstance(value, Mapping) and value and key not in _DICTIONARIES:
        for below, one in value.items():
            yield from _words_of(f"{key}.{below}", one)
    elif not _is_list(value):
        yield f"{key}={_fixed(key, value)}"
    elif key in _LISTS or key.startswith(_LIST_GROUP):
        yield f"{key}={_literal(key, value)}"
    elif not value:
        raise InputError(f"{key}={value!r}: lists no value; pass at least one, or leave {key} out")
    else:
        yield f"{key}=choice({','.join(_scalar(key, one) for one in value)})"


def _fixed(key: str, value: object) -> str:
    """Return the value of a key that is not swept."""
    if isinstance(value, str) and value == _MISSING:
        raise InputError(f"{key}={_MISSING}: stands for a value that is missing; pass another text")
    return _literal(key, value)


def _literal(key: str, value: object) -> str:
    """Return a value in Hydra's grammar, lists and dictionaries included."""
    if _is_list(value):
        return f"[{','.join(_literal(key, one) for one in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{_text(str(name))}:{_literal(key, one)}" for name, one in value.items())
        return "{" + ",".join(pairs) + "}"
    return _scalar(key, value)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether a value is a list, or a sequence such as OmegaConf's."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _scalar(key: str, value: object) -> str:
    """Return one text, number, truth value or ``None`` in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, os.PathLike)):
        text = os.fsdecode(value)
        # Without quotes, a folder on the command line lists the models in it.
        return config.quoted(text) if key.endswith(_FOLDER_KEY) else _text(text)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    raise InputError(
        f"{key}={value!r}: a {type(value).__name__} is not a value; pass text, a path, a number, "
        "True, False, None, or a list of them"
    )


def _text(text: str) -> str:
    """Return a text so that Hydra reads the same text, without quotes where none are needed."""
    if _BARE.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return config.quoted(text)
