"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from turbo_lab.untrusted.console import console

# Seconds between two plain lines: often enough to show progress, too few to flood a log.
_LINE_EVERY_S = 5.0

_Item = TypeVar("_Item")


class StderrProgress:
    """Reporter of progress on standard error; see :class:`turbo_lab.execute.context.Progress`."""

    def __init__(self) -> None:
        self._console = console(sys.stderr)
        self._bar: Progress | None = None
        self._total = self._done = 0
        self._what = "images"
        self._last_line = 0.0

    def begin(self, total: int, what: str = "images") -> None:
        """Set the number of items left to do."""
        self._total, self._what = total, what
        if total and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.add_task(what, total=total)
            self._bar.start()

    def advance(self, done: int) -> None:
        """Add ``done`` to the number of finished items; a sweep calls this on the commit thread."""
        self._done += done
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        elif time.monotonic() - self._last_line > _LINE_EVERY_S or self._done == self._total:
            self._last_line = time.monotonic()
            self.note(f"{self._done}/{self._total} {self._what}")

    def note(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def waiting(what: str, first_s: float = 3.0, every_s: float = 15.0) -> Iterator[None]:
    """Say on standard error what is waited for, if it takes longer than ``first_s``.

    For work in one piece, such as loading or compiling. A line every ``every_s`` shows that it
    is still going on; the last line says how long it took. Nothing is printed for short work.
    """
    began, ended = time.monotonic(), threading.Event()
    is_shown = False

    def tell() -> None:
        nonlocal is_shown
        wait_s = first_s
        while not ended.wait(wait_s):
            is_shown, wait_s = True, every_s
            _line(f"{what}: {time.monotonic() - began:.0f} s so far")

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if is_shown:
            _line(f"{what}: {time.monotonic() - began:.0f} s")


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def track(items: Sequence[_Item], what: str) -> Iterator[_Item]:
    """Yield each of ``items`` and count it on standard error when the next one is requested."""
    progress = StderrProgress()
    progress.begin(len(items), what)
    try:
        for item in items:
            yield item
            progress.advance(1)
    finally:
        progress.end()
