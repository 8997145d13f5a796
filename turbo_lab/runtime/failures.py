"""Failures while a cell is loaded or drawn: the cell's own, or a bug in turbo-lab.

Owns the one rule that decides between the two, and the one line that another
library's exception becomes. Some libraries (safetensors, diffusers, peft) raise
their own types, so the rule asks where an exception was raised, and keeps no list
of types to grow.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from turbo_lab.errors import IncompleteError, InputError, TurboLabError

_PACKAGE = Path(__file__).parent.parent
# What torch and the interpreter raise about data, from functions that have no Python frame.
_ABOUT_DATA = (RuntimeError, ValueError, OSError, MemoryError)
_MAX_LENGTH = 500


def is_own_bug(error: BaseException) -> bool:
    """Return whether an exception shows a bug in turbo-lab.

    It does if turbo-lab's own code raised it and its type is not one for wrong data:
    a ``TypeError`` from a line of ours is a bug, one from diffusers is not.
    """
    if isinstance(error, (TurboLabError, *_ABOUT_DATA)):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or Path(frames[-1].filename).is_relative_to(_PACKAGE)


def reason(error: BaseException) -> str:
    """Return an exception in one line, with its type unless the text alone is enough."""
    text = " ".join(str(error).split())[:_MAX_LENGTH]
    if text and isinstance(error, (TurboLabError, *_ABOUT_DATA)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def refused_as(problem: str, remedy: str = "") -> Iterator[None]:
    """Turn a library's refusal of a file into an ``InputError``: problem, reason, remedy."""
    try:
        yield
    except (TurboLabError, MemoryError):
        raise
    except Exception as error:
        if is_own_bug(error):
            raise
        first = str(error).strip().partition("\n")[0]
        why = first if first and isinstance(error, _ABOUT_DATA) else reason(error)
        raise InputError(f"{problem} ({why}){remedy}") from error


@contextmanager
def cell_failures() -> Iterator[None]:
    """Turn a failure of a cell into a ``TurboLabError``; a bug of ours goes on as it is."""
    try:
        yield
    except TurboLabError:
        raise
    except Exception as error:
        if is_own_bug(error):
            raise
        raise IncompleteError(reason(error)) from error
