"""The option ``--history`` of commands that measure something."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turbo_lab.history.figures import Kept


def check_history(path: Path | None) -> None:
    """Check the file of ``--history`` before any work. Raises :class:`TurboLabError`."""
    if path is not None:
        from turbo_lab.history import file

        file.check_history(path)


def keep(path: Path | None, document: Kept) -> None:
    """Append the numbers of a document to the file of ``--history``, if there are any."""
    if path is None:
        return
    from turbo_lab.history.figures import entry_of
    from turbo_lab.history.file import append

    if document.occasion is None or not (entry := entry_of(document)).figures:
        print(f"--history {path}: nothing was measured, so nothing is added", file=sys.stderr)
        return
    append(path, [entry])
