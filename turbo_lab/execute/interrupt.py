"""Ctrl-C at points where a sweep can stop.

Owns the handler of SIGINT while a plan runs. The signal may come at any point, and an exception
inside the code of a lock leaves the lock in an undefined state: the sweep would hang on its own
queue. The signal is therefore noted, and raised where the current work can be dropped: while the
model draws, and between batches.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupts:
    """A context in which Ctrl-C is ``KeyboardInterrupt`` at chosen points only.

    A second Ctrl-C is raised at once. Nothing is changed on other threads than the main one, or
    if another handler of the signal is installed.
    """

    def __init__(self) -> None:
        self._noted = self._allowed = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        on_main = threading.current_thread() is threading.main_thread()
        if on_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self._check()

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let Ctrl-C be raised inside, and on entry if it was pressed before."""
        self._allowed = True
        try:
            self._check()
            yield
        finally:
            self._allowed = False

    def _check(self) -> None:
        if self._noted:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        is_second, self._noted = self._noted, True
        if is_second or self._allowed:
            raise KeyboardInterrupt
