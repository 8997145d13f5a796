"""Progress on standard error: bars on a terminal, plain lines elsewhere.

Owns what is in progress in this process: counted work, and work in one piece. Work that lasts
longer than a few seconds is shown again and again, so that nobody waits in silence; a caller from
Python can hide that of one call. A thread that works for a call must run in a copy of its context
(:func:`contextvars.copy_context`). Also owns how a duration is written for people.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from turbo_lab.untrusted.console import console

# Seconds between two plain lines: often enough to show progress, too few to flood a log.
_LINE_EVERY_S = 5.0
# Work in one piece that is shorter than this, in seconds, is not worth a line.
_FIRST_LINE_S = 3.0
# Rare redraws, because the bars stay on the screen while calls are timed.
_REDRAWS_PER_S = 1.0

_Item = TypeVar("_Item")


def duration(seconds: float) -> str:
    """Return a duration for people: ``0.42 s``, ``5.3 s``, ``42 s``, ``7 min 51 s``, ``2 h 5 min``.

    JSON documents have seconds instead.
    """
    if seconds < 0.995:
        return f"{seconds:.2g} s" if seconds >= 0.001 else "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two_units(whole, 60, "min", "s")
    return _two_units(round(seconds / 60), 60, "h", "min")


def _two_units(value: int, size: int, large: str, small: str) -> str:
    rest = f" {value % size} {small}" if value % size else ""
    return f"{value // size} {large}{rest}"


@dataclass
class _Work:
    """Something in progress."""

    what: str
    """Name of the items, or of the work in one piece."""
    total: int | None
    """Number of items; ``None``: work in one piece."""
    done: int = 0
    """Number of finished items."""
    began: float = 0.0
    """Time of its start, on the monotonic clock."""
    is_shown: bool = False
    """``True`` once a plain line has been printed about it."""
    bar: TaskID | None = None
    """Its bar; ``None`` without a terminal."""

    @property
    def elapsed(self) -> str:
        """Time since its start, for people."""
        return duration(time.monotonic() - self.began)

    @property
    def line(self) -> str:
        """Its name, and how much of it is done."""
        return self.what if self.total is None else f"{self.done}/{self.total} {self.what}"


class _Display(ABC):
    """A place where progress is shown."""

    @abstractmethod
    def add(self, work: _Work) -> None:
        """Show a piece of work until it is removed."""

    @abstractmethod
    def advance(self, work: _Work, done: int) -> None:
        """Count finished items."""

    @abstractmethod
    def remove(self, work: _Work) -> None:
        """Remove a piece of work."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Pass on one line that a user must know."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Show one line about the progress."""


class _Hidden(_Display):
    """The progress of a call that shows none; what a user must know goes to its caller."""

    def __init__(self, on_note: Callable[[str], None]) -> None:
        self._on_note = on_note

    def add(self, work: _Work) -> None:
        """Show nothing."""

    def advance(self, work: _Work, done: int) -> None:
        """Show nothing."""

    def remove(self, work: _Work) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Pass on one line that a user must know."""
        self._on_note(text)

    def say(self, text: str) -> None:
        """Show nothing."""


class _Stderr(_Display):
    """Everything in progress in this process that is shown, the innermost last."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what is in progress."""
        self._lock = threading.RLock()
        self._works: list[_Work] = []
        self._bars: Progress | None = None
        self._last_line = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, work: _Work) -> None:
        """Show a piece of work until it is removed."""
        with self._lock:
            work.began = time.monotonic()
            self._works.append(work)
            if sys.stderr.isatty():
                self._add_bar(work)
            elif len(self._works) == 1:
                self._last_line, self._ended = work.began, threading.Event()
                self._thread = threading.Thread(
                    target=self._repeat, args=(self._ended,), name="progress", daemon=True
                )
                self._thread.start()

    def advance(self, work: _Work, done: int) -> None:
        """Count finished items."""
        with self._lock:
            work.done += done
            if self._bars is not None and work.bar is not None:
                self._bars.update(work.bar, completed=work.done, refresh=True)
                return
            is_due = time.monotonic() - self._last_line > _LINE_EVERY_S
            if is_due or not work.is_shown or work.done == work.total:
                self._say(work, work.line)

    def remove(self, work: _Work) -> None:
        """Remove a piece of work, with its bar; with the last one, end the thread."""
        thread = None
        with self._lock:
            self._works.remove(work)
            if work.bar is not None and self._bars is not None:
                self._bars.remove_task(work.bar)
            elif work.total is None and work.is_shown:
                self._say(work, f"{work.what}: {work.elapsed}")
            if not self._works:
                self._ended.set()
                thread, self._thread = self._thread, None
                if self._bars is not None:
                    self._bars.stop()
                    self._bars = None
        if thread is not None:
            thread.join()  # not under the lock, which the thread may be waiting for

    def note(self, text: str) -> None:
        """Print one line that a user must know, above the bars."""
        self.say(text)

    def say(self, text: str) -> None:
        """Print one line about the progress, above the bars."""
        with self._lock:
            self._last_line = time.monotonic()
            self._console().print(text, highlight=False, markup=False, soft_wrap=True)

    def _add_bar(self, work: _Work) -> None:
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                _Reached(),
                console=console(sys.stderr),
                refresh_per_second=_REDRAWS_PER_S,
                transient=True,
            )
            self._bars.start()
        work.bar = self._bars.add_task(work.what, total=work.total)

    def _repeat(self, ended: threading.Event) -> None:
        """Print a line about the innermost unfinished work if none was printed for a while."""
        while not ended.wait(_LINE_EVERY_S / 10):
            with self._lock:
                going_on = [work for work in self._works if work.done != work.total]
                if ended.is_set() or not going_on:
                    continue
                work, now = going_on[-1], time.monotonic()
                is_new = work.total is None and not work.is_shown
                since_line, since_start = now - self._last_line, now - work.began
                if since_line >= _LINE_EVERY_S or (
                    is_new and min(since_line, since_start) >= _FIRST_LINE_S
                ):
                    self._say(work, f"{work.line}: {work.elapsed} so far")

    def _say(self, work: _Work, text: str) -> None:
        work.is_shown = True
        self.say(text)

    def _console(self) -> Console:
        return console(sys.stderr) if self._bars is None else self._bars.console


class _Reached(ProgressColumn):
    """Items that are done and the time that is left, or the time that has passed."""

    def render(self, task: Task) -> RenderableType:
        """Return what is reached."""
        if task.total is None:
            return Text(duration(task.elapsed or 0.0))
        left = task.time_remaining
        shown = f"{task.completed:.0f}/{task.total:.0f}"
        return Text(shown if not left else f"{shown}, {duration(left)} left")


_STDERR = _Stderr()
_SHOWN: ContextVar[_Display] = ContextVar("progress", default=_STDERR)
# A forked process has none of its parent's threads, one of which may have had the lock.
os.register_at_fork(after_in_child=_STDERR.reset)


class StderrProgress:
    """Reporter of progress on standard error; see :class:`turbo_lab.execute.context.Progress`."""

    def __init__(self, of: str = "") -> None:
        """Report on ``of``, such as the side that is drawn; empty: there is only one thing."""
        self._of = f" of {of}" if of else ""
        self._work: _Work | None = None
        self._display = _SHOWN.get()

    def begin(self, total: int, what: str = "images") -> None:
        """Set the number of items left to do."""
        self.end()
        if total:
            self._work = _Work(f"{what}{self._of}", total)
            self._display.add(self._work)

    def advance(self, done: int) -> None:
        """Add ``done`` to the number of finished items; a sweep calls this on the commit thread."""
        if self._work is not None:
            self._display.advance(self._work, done)

    def note(self, text: str) -> None:
        """Print one line that a user must know, such as a warning."""
        self._display.note(text)

    def say(self, text: str) -> None:
        """Print one line about the progress."""
        self._display.say(text)

    def end(self) -> None:
        """Stop showing what was counted."""
        if self._work is not None:
            self._display.remove(self._work)
            self._work = None


@contextmanager
def hidden(on_note: Callable[[str], None]) -> Iterator[None]:
    """Show no progress of what is called inside; what a user must know goes to ``on_note``.

    Notes come from several threads.
    """
    before = _SHOWN.set(_Hidden(on_note))
    try:
        yield
    finally:
        _SHOWN.reset(before)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on standard error what is waited for, and for how long, unless it is short.

    For work in one piece, such as loading or compiling.
    """
    work, display = _Work(what, None), _SHOWN.get()
    display.add(work)
    try:
        yield
    finally:
        display.remove(work)


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
