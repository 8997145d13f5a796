"""The way in: the installed console script, called in this process."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parent / "files"
"""A store, goldens and a baseline that turbo-lab 0.1.0 wrote; see the README there."""


@dataclass(frozen=True)
class Answer:
    """One command's outcome."""

    exit_code: int
    """Exit code of the process that the console script would be."""
    output: str
    """Standard output."""
    errors: str
    """Standard error."""

    @property
    def document(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        found = json.loads(self.output)
        assert isinstance(found, dict), self.output
        return found


TurboLab = Callable[..., Answer]
"""``turbo_lab(*words, folder)``: run one command line in a folder."""


def digest(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON, as documented."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="session")
def turbo_lab() -> TurboLab:
    """Run a command line in a folder, as the console script would."""
    (script,) = entry_points(group="console_scripts", name="turbo-lab")
    main = script.load()

    def run(*words: str, folder: Path) -> Answer:
        with contextlib.chdir(folder):
            return _captured(main, ["turbo-lab", *words])

    return run


def _captured(main: Callable[[], Any], words: list[str]) -> Answer:
    output, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    saved = sys.argv
    sys.argv = words
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            exit_code = _exit_code(main)
    finally:
        sys.argv = saved
    for stream in (output, errors):
        stream.flush()
    return Answer(exit_code, *(s.buffer.getvalue().decode() for s in (output, errors)))


def _exit_code(main: Callable[[], Any]) -> int:
    """Return what ``sys.exit(main())`` would end the process with."""
    try:
        found = main()
    except SystemExit as end:
        found = end.code
    assert found is None or isinstance(found, int), found
    return found or 0
