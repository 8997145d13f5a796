"""The exception tree: mistakes of users and failures, each with its exit code.

Owns the mapping from failure to exit code. A ``TurboLabError`` is printed as
one line without a traceback; anything else is our own bug (exit code 4).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions raised by reading a document whose values have wrong types."""


class TurboLabError(Exception):
    """Base of every failure that has a message for the user."""

    exit_code = 2


class TurboLabWarning(UserWarning):
    """Something that the command line prints as a warning, for callers from Python."""


class InputError(TurboLabError):
    """A config value, file or argument that is wrong."""


class OverrideError(InputError):
    """A word of the command line that a recorded case cannot be drawn with."""


class UnfitError(InputError):
    """Valid settings that cannot be drawn together, such as a LoRA for another model."""


class NotOnThisMachineError(InputError):
    """A valid setting that this machine cannot run, such as float8 on a GPU without it."""


class MissingFilesError(TurboLabError):
    """A model, adapter or metric needs files that are not on this machine."""


class NonFiniteError(InputError):
    """NaN or infinity where an image is made: weights, settings or dtype do not serve."""

    def __init__(self, stage: str, cause: str) -> None:
        """``stage``: the first one that is not finite; ``cause``: why, and what to do."""
        super().__init__(f"non-finite values (NaN or infinity), first in {stage}: {cause}")
        self.stage = stage


class StoreError(TurboLabError):
    """The store cannot be read or written: disk, permissions or schema."""


class WriteError(StoreError):
    """A write into the store failed; committed work is kept and the same command resumes."""

    exit_code = 3


class IncompleteError(TurboLabError):
    """The work could not be finished; finished parts are kept."""

    exit_code = 3


class JudgementError(TurboLabError):
    """A verdict that could not be reached."""

    exit_code = 4


def unknown_name(
    field: str, value: str, valid: Iterable[str], meant: str | None = None
) -> InputError:
    """Return an error such as ``model=nano-turb: unknown. Did you mean nano-turbo? Valid: ...``.

    ``meant``: the name to hint at; by default the name that contains ``value``, or the
    nearest one.
    """
    names = sorted(set(valid))
    holding = [name for name in names if len(value) > 2 and value.lower() in name.lower()]
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    meant = meant or next(iter(sorted(holding, key=len) or near), None)
    hint = f" Did you mean {meant}?" if meant else ""
    return InputError(f"{field}={value}: unknown.{hint} Valid: {', '.join(names)}")
