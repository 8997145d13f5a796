"""One command line, run in this process, and what is wrong with how it ended.

Commands run up to the point where they would draw, train, track or simulate: importing torch or
MLflow ends them there, since everything before it is what the fuzzer is about.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import NoReturn
from unittest import mock

from turbo_lab.cli import main as entry
from turbo_lab.history import series

HEAVY = ("torch", "mlflow", "diffusers", "transformers", "open_clip", "torchvision")
"""Packages whose import ends a trial: the command line was accepted."""

LIMIT_S = 20.0
"""Longest time that a command may take before it draws, in seconds."""

# What a terminal would act upon; line ends and tabs are text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Accepted(BaseException):
    """Raised where a command would start to draw. Not an ``Exception``: nothing handles it."""


class TooLong(BaseException):
    """Raised in a command that takes longer than :data:`LIMIT_S`."""


@dataclass(frozen=True)
class Outcome:
    """How a command line ended."""

    code: int | None
    """Exit code, or ``None`` where the command would have started to draw."""
    output: str
    """Standard output."""
    errors: str
    """Standard error."""


class _Barrier(importlib.abc.MetaPathFinder):
    """Ends the command that imports a heavy package."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Raise :class:`Accepted` for a heavy package; leave all others to Python."""
        if name.partition(".")[0] in HEAVY:
            raise Accepted(name)
        return None


@contextlib.contextmanager
def barrier() -> Iterator[None]:
    """End commands where they import a heavy package, which must not be loaded yet.

    Simulations, which need none, end where they would start.
    """
    loaded = [name for name in HEAVY if name in sys.modules]
    if loaded:
        raise RuntimeError(f"{', '.join(loaded)}: loaded already; run the fuzzer in a new process")
    finder = _Barrier()
    sys.meta_path.insert(0, finder)
    try:
        with mock.patch.object(series, "simulate", side_effect=Accepted("simulate")):
            yield
    finally:
        sys.meta_path.remove(finder)


def run(words: Sequence[str], folder: Path, encoding: str = "utf-8") -> Outcome:
    """Run a command line in ``folder``, on a terminal of that ``encoding``.

    Raises :class:`TooLong` where it takes longer than :data:`LIMIT_S`.
    """
    output, errors = io.BytesIO(), io.BytesIO()
    streams = (
        io.TextIOWrapper(output, encoding, errors="strict", write_through=True),
        io.TextIOWrapper(errors, encoding, errors="backslashreplace", write_through=True),
    )
    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            _time_limit(),
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
        ):
            code = _exit_code(words)
    finally:
        os.chdir(before)
    return Outcome(code, output.getvalue().decode(encoding), errors.getvalue().decode(encoding))


def _exit_code(words: Sequence[str]) -> int | None:
    """Run the command; ``None`` where it was about to draw."""
    try:
        return entry.main(list(words))
    except Accepted:
        return None
    except SystemExit as end:  # a library that ends the process by itself
        raise AssertionError(f"{list(words)}: a library ended the process ({end.code})") from end


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Raise :class:`TooLong` in the main thread after :data:`LIMIT_S`."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise TooLong(f"still running after {LIMIT_S:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault(words: Sequence[str], outcome: Outcome) -> str | None:
    """Return what is wrong with how a command ended, or ``None``."""
    if "Traceback (most recent call last)" in outcome.errors + outcome.output:
        return "a traceback was printed"
    if outcome.code is None:
        return None
    if outcome.code not in (0, 1, 2, 3):
        return f"exit code {outcome.code}"
    if outcome.code == 2 and not outcome.errors.strip():
        return "exit code 2 without a message"
    if outcome.code == 2 and outcome.output.strip():
        return "exit code 2 with something on standard output"
    if _CONTROL.search(outcome.output + outcome.errors):
        return "control characters were printed"
    longest = max((len(line) for line in outcome.errors.splitlines()), default=0)
    if longest > 2000:
        return f"a message of {longest} characters in one line"
    if "--json" in words and outcome.code == 0 and outcome.output.lstrip().startswith("{"):
        return _json_fault(outcome.output)
    return None


def _json_fault(text: str) -> str | None:
    """Return what is wrong with the document that ``--json`` printed."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        return f"standard output is not one JSON document ({error})"
    return None


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{name} is not JSON")
