"""Commits on a separate thread: hashing, PNG encoding and the rename.

Owns the queue between the device and the disk. The queue is bounded: if the disk is
slower than the model, the model waits, and memory does not grow with the sweep.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

from turbo_lab.store.encode import DrawnBatch, encode_batch
from turbo_lab.store.store import Store

# Batches in flight; two keep the device busy while one is written.
_QUEUE_LENGTH = 4


class Committer:
    """Writer of batches, in the order in which they were drawn.

    A failure stops the sweep at its next call. Leaving the context commits what is
    queued, also after an exception, and ends the thread.
    """

    def __init__(self, store: Store) -> None:
        """Start the thread."""
        self._store = store
        self._queue: queue.Queue[Callable[[], None] | None]
        self._queue = queue.Queue(maxsize=_QUEUE_LENGTH)
        self._error: Exception | None = None
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name="commit", daemon=True
        )
        self._thread.start()

    def submit(self, drawn: DrawnBatch, on_done: Callable[[], None]) -> None:
        """Queue a batch; ``on_done`` runs on the thread after the batch is on disk."""

        def commit() -> None:
            self._store.commit_batch(*encode_batch(drawn))
            on_done()

        self.call(commit)

    def call(self, on_done: Callable[[], None]) -> None:
        """Queue a call on the thread, for a batch that is already on disk."""
        self._raise()
        self._queue.put(on_done)

    def drain(self) -> None:
        """Wait until everything queued is on disk; raise the error of a failed commit."""
        self._queue.join()
        self._raise()

    def __enter__(self) -> Committer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if self._error is None:  # after a failure the rest is dropped
                    item()
            except Exception as error:  # noqa: BLE001  (raised in the driver's thread)
                self._error = error
            finally:
                self._queue.task_done()
        self._queue.task_done()
