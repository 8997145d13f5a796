"""The end of a command's process."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn

# Libraries whose objects take Python a quarter of a second or more to free.
_SLOW_TO_FREE = ("torch", "numpy")


def leave(code: int) -> NoReturn:
    """End the process with an exit code, without freeing large libraries.

    Python frees the half a million objects of torch and diffusers one by one, which takes more
    than a second after the result is printed. Exit handlers run and output is flushed as always.
    A process that imported none of them, or whose other threads still run, ends in Python's own
    way; so does one whose caller captures the output and may catch the exit.
    """
    is_captured = sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__
    is_light = not any(name in sys.modules for name in _SLOW_TO_FREE)
    if is_light or is_captured or _waits_for_threads():
        sys.exit(code)
    atexit._run_exitfuncs()  # private: os._exit below would skip the handlers
    try:
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
    except OSError:  # the reader has gone; Python says so in its own way
        sys.exit(code)
    os._exit(code)


def _waits_for_threads() -> bool:
    """Report whether Python would wait for a thread before it ends the process."""
    return any(
        thread is not threading.main_thread() and not thread.daemon
        for thread in threading.enumerate()
    )
