"""The first import of torch and of what is built on it, without garbage collection.

Importing diffusers makes half a million objects that live as long as the process.
The collector would walk through all of them again and again and find next to nothing:
a quarter of the CPU time from a command's start to its first batch.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Turn the collector off for the imports inside, and keep their objects out of it later.

    Only where torch is not imported yet: later, models may be among the objects, and
    those must be collected once nothing refers to them.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        # Frozen objects would outlive the interpreter, which native extensions report as leaks.
        atexit.register(gc.unfreeze)
