"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Seconds between two plain lines: often enough to see life, too few to flood a log.
_LINE_EVERY_S = 5.0


class StderrProgress:
    """Counts images; see :class:`turbo_lab.execute.sweep.Progress`."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._total = self._done = 0
        self._last_line = 0.0

    def begin(self, images: int) -> None:
        """``images`` are left to make."""
        self._total = images
        if images and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.add_task("images", total=images)
            self._bar.start()

    def advance(self, images: int) -> None:
        """That many more are on disk. Called from the commit thread."""
        self._done += images
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        elif time.monotonic() - self._last_line > _LINE_EVERY_S or self._done == self._total:
            self._last_line = time.monotonic()
            self.note(f"{self._done}/{self._total} images")

    def note(self, text: str) -> None:
        """One line worth reading."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def end(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
