"""Advisory file locks: visible to all processes on the store, released when the holder exits.

Owns one file of locked bytes. A name is a byte far beyond the file's end, locked by ``fcntl``;
the kernel releases it when the process ends, however it ends. A killed sweep therefore blocks
nobody, no process id can be mistaken for another, and containers or machines that share the
folder see each other's locks if its file system supports them. The threads of one process share
its locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from turbo_lab.errors import StoreError
from turbo_lab.identity import sha256_text
from turbo_lab.untrusted.paths import make_lock

# 60 bits of a digest do not collide, and fit a file offset with room for one more.
_DIGITS = 15
_EVERYTHING = 16**_DIGITS
# By device and inode: closing any handle of a file drops all of the process's locks on it, so
# one handle per file is opened and kept.
_HANDLES: dict[tuple[int, int], int] = {}


class Locks:
    """Locks on the contents of one folder."""

    def __init__(self, path: Path) -> None:
        """Open the file whose bytes are locked, or make it.

        Raises :class:`StoreError` if it is not a regular file, and ``OSError``.
        """
        make_lock(path, StoreError)
        stat = path.lstat()
        mark = (stat.st_dev, stat.st_ino)
        if mark not in _HANDLES:
            _HANDLES[mark] = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        self._handle = _HANDLES[mark]

    def acquire(self, name: str, wait: bool = False) -> bool:
        """Lock ``name``; returns ``False`` if another process holds it, unless ``wait`` is set.

        Waiting blocks in the kernel. Hold no other lock then, or two processes could
        wait for each other.
        """
        return self._lock(fcntl.LOCK_EX, _offset(name), wait)

    def release(self, name: str) -> None:
        """Release ``name``."""
        fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, _offset(name))

    def join(self) -> None:
        """Mark the folder as open by this process until the process ends."""
        self._lock(fcntl.LOCK_SH, _EVERYTHING, wait=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Yield whether no other process has the folder open; inside, no other can open it."""
        is_alone = self._lock(fcntl.LOCK_EX, _EVERYTHING, wait=False)
        try:
            yield is_alone
        finally:
            self.join()

    def _lock(self, kind: int, offset: int, wait: bool) -> bool:
        try:
            fcntl.lockf(self._handle, kind if wait else kind | fcntl.LOCK_NB, 1, offset)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True


def _offset(name: str) -> int:
    return int(sha256_text(name)[:_DIGITS], 16)
