"""Output of a command: one JSON document on standard output, or a file that an option names."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from turbo_lab.documents.document import to_document
from turbo_lab.documents.kinds import KINDS
from turbo_lab.errors import InputError
from turbo_lab.untrusted.paths import write_whole
from turbo_lab.untrusted.printable import printable_json


def print_document(kind: str, value: object) -> None:
    """Print one document with its header, in strict JSON: no NaN, no escapes in plain text."""
    assert type(value) is KINDS[kind], f"{kind}: {type(value).__name__}"
    text = json.dumps(to_document(kind, value), indent=1, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(printable_json(text, sys.stdout.encoding or "utf-8") + "\n")


def check_writable(path: Path, option: str) -> None:
    """Make the folder of a file that ``option`` names. Raises ``InputError`` if it fails.

    Call it before long work, so that a wrong path costs nothing. A pipe or a device is left
    alone: its reader would take the check for the end.
    """
    try:
        is_there = path.exists()
        if is_there and not path.is_file() and not path.is_dir():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a", encoding="utf-8").close()
        if not is_there:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, option, error) from error


def write_text(path: Path, text: str | bytes, option: str) -> None:
    """Write a file that ``option`` names, and make its folder. Raises ``InputError``.

    If the write fails, an old file is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode() if isinstance(text, str) else text)
    except OSError as error:
        raise _unwritable(path, option, error) from error


def _unwritable(path: Path, option: str, error: OSError) -> InputError:
    return InputError(f"{option}={path}: cannot be written ({error.strerror}); name another file")
