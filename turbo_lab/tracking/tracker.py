"""Timing of a projection: cell by cell on a thread during the sweep, and the whole at its end.

Owns the thread, how long a sweep waits for it, and the handling of MLflow's failures, which never
stop a sweep.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from turbo_lab.documents.cut_off import CutOffSweep
from turbo_lab.documents.document import to_document
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.errors import IncompleteError, InputError
from turbo_lab.planning.options import TrackingOptions
from turbo_lab.progress import duration
from turbo_lab.store.judgement import Judgement
from turbo_lab.store.store import Store
from turbo_lab.tracking.projection import NOTHING, Attachments, SweepHead
from turbo_lab.tracking.runs import Runs
from turbo_lab.tracking.settings import TrackingSettings
from turbo_lab.untrusted.redaction import redact

_Result = TypeVar("_Result")
# Longest time that an interrupted or late sweep waits for its runs to be closed, in seconds.
_CLOSING_S = 10.0
_LIBRARIES = ("mlflow", "alembic", "sqlalchemy", "sqlite3", "requests", "urllib3")


class Tracker:
    """Projector of sweeps to one place.

    The queue contains calls that read the store, so that a place that is slower than the model
    neither delays it nor fills the memory.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self.settings = settings
        self._runs: Runs | None = None
        self._sweep: SweepHead | None = None
        self._parent_id: str | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._at_work = threading.Lock()
        self._is_given_up = False
        self._is_late = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_lost(self) -> bool:
        """``True`` if no further sweep can be projected, because opening failed or time ran out."""
        return self._is_late or (self._runs is None and self._error is not None)

    @classmethod
    def from_options(cls, options: TrackingOptions) -> Tracker | None:
        """Return the tracker that a sweep's options ask for; ``None`` if it is not tracked."""
        settings = TrackingSettings.from_options(options)
        return None if settings is None else cls(settings)

    def begin(self, sweep: SweepHead) -> None:
        """Set the sweep whose cells follow; :meth:`start` opens its run."""
        self._sweep = sweep

    def start(self) -> None:
        """Start the thread that imports MLflow and opens the sweep's run, if it is not running.

        A sweep calls this after its first batch: before that, the import would compete
        with the loading of the model for the interpreter.
        """
        if self._thread is None:
            self._thread = threading.Thread(
                target=copy_context().run, args=(self._work,), name="mlflow", daemon=True
            )
            self._thread.start()

    def add(self, row: Callable[[], CellResult]) -> None:
        """Queue a finished cell; the thread calls ``row`` to get its result."""
        self._jobs.put(partial(self._add, row))

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Pause the projection, so that a latency can be measured."""
        seconds = 0.0 if self._is_late else self.settings.timeout_s
        is_quiet = self._at_work.acquire(timeout=seconds)
        self._is_late = not is_quiet
        try:
            yield
        finally:
            if is_quiet:
                self._at_work.release()

    def give_up(self) -> None:
        """Close the run of a sweep that was cut off as ``KILLED``, until the sweep is resumed."""
        self._is_given_up = True
        if self._thread is not None:
            self._submit(lambda runs: runs.abandon(), min(_CLOSING_S, self.settings.timeout_s))

    def project_news(
        self, result: SweepResult, store: Store, attached: Attachments = NOTHING
    ) -> dict[str, str]:
        """Call :meth:`project`, unless the store has a note that there is nothing new.

        In that case MLflow is not even imported, unless the run of the sweep is open.
        """
        files = store.sweep_files(result.sweep_id)
        path = files.folder / f"projected-{self.settings.place_digest[:12]}.json"
        known = store.read_note(path)
        is_known = isinstance(known.get("runs"), dict)
        if is_known and self._thread is None and known["mark"] == self.settings.mark(result):
            return dict(known["runs"])
        # A projection that is killed can only be replayed from the document.
        store.write_document(files.document, to_document("sweep", result))
        runs = self.project(result, attached)
        store.write_document(path, {"mark": self.settings.mark(result), "runs": runs})
        return runs

    def project(
        self, result: SweepResult | CutOffSweep, attached: Attachments = NOTHING
    ) -> dict[str, str]:
        """Project one sweep into MLflow, and return run ids by record id.

        Raises :class:`IncompleteError` if MLflow cannot be reached, fails, or takes longer than
        ``tracking.timeout_s``.
        """
        return self._reported(lambda runs: runs.project(result, attached))

    def project_judgement(self, judgement: Judgement, page: Callable[[], str]) -> str:
        """Project a comparison or a gate into MLflow, unless it is there; return its run's id.

        ``page``: function that returns its page. Raises as :meth:`project`.
        """
        return self._reported(lambda runs: runs.project_judgement(judgement, page))

    def _reported(self, task: Callable[[Runs], _Result]) -> _Result:
        """Return the result of a task; a failure of MLflow is an :class:`IncompleteError`."""
        try:
            return self._call(task)
        except Exception as error:
            if not _is_tracking_failure(error):
                raise
            reason = redact(" ".join(str(error).split()) or type(error).__name__)[:300]
            raise IncompleteError(
                f"tracking: {self.settings.public_uri} failed ({reason}); the results are in "
                "the store: run `turbo-lab sync` once it is back"
            ) from error

    def record_of(self, run_id: str) -> str:
        """Return the id of the record that a run projects.

        Raises ``InputError`` for a run that is not ours.
        """
        path = self.settings.database
        if path is not None and not path.exists():
            raise InputError(
                f"{run_id}: there is no MLflow database {path}; run this in the project's folder, "
                "or pass tracking.uri=ADDRESS"
            )
        return self._call(lambda runs: runs.record_of(run_id))

    def _call(self, task: Callable[[Runs], _Result]) -> _Result:
        """Return the result of a task that runs after the queue, or raise what prevented it."""
        future = None if self._is_late else self._submit(task, self.settings.timeout_s)
        if future is not None and future.done():
            return future.result()
        self._is_late = True
        late = IncompleteError(
            f"tracking: {self.settings.public_uri} did not finish within "
            f"{duration(self.settings.timeout_s)}; the results are in the store: run "
            "`turbo-lab sync` once it is faster, or with a larger tracking.timeout_s"
        )
        if self._runs is not None:
            # The artifact store may hang although the tracking server answers.
            closing = threading.Thread(target=self._runs.abandon_after, args=(late,), daemon=True)
            closing.start()
            closing.join(_CLOSING_S)
        raise late

    def _submit(self, task: Callable[[Runs], _Result], timeout_s: float) -> Future[_Result]:
        """Run a task as the last one on the thread, and wait for it up to a limit."""
        future: Future[_Result] = Future()
        self.start()
        assert self._thread is not None
        self._jobs.put(partial(self._finish, task, future))
        self._jobs.put(None)
        if wait([future], timeout_s).done:
            self._thread.join()
            self._thread = None
        return future

    def _work(self) -> None:
        try:
            with self._at_work:
                if self._runs is None and self._error is None:
                    self._runs = Runs(self.settings)
                    if self._sweep is not None:
                        self._parent_id = self._runs.begin(self._sweep)
        except Exception as error:  # noqa: BLE001  (raised when the whole is projected)
            self._error = error
        while (job := self._jobs.get()) is not None:
            job()

    def _add(self, row: Callable[[], CellResult]) -> None:
        """Project one cell, unless a cell before it failed: the end of the sweep tries again."""
        if self._is_given_up or self._error is not None:
            return
        assert self._runs is not None
        assert self._sweep is not None and self._parent_id is not None
        try:
            with self._at_work:
                self._runs.add(self._sweep, self._parent_id, row())
        except Exception as error:  # noqa: BLE001  (raised when the whole is projected)
            self._error = error

    def _finish(self, task: Callable[[Runs], _Result], future: Future[_Result]) -> None:
        """Complete a future with the result of its task, or with an error that no retry mends."""
        error = self._error
        if self._runs is None or (error is not None and not _is_tracking_failure(error)):
            assert error is not None
            if self._runs is not None:
                self._runs.abandon_after(error)
            future.set_exception(error)
            return
        self._error = None
        try:
            future.set_result(task(self._runs))
        except Exception as raised:  # noqa: BLE001  (raised again where the task is waited for)
            future.set_exception(raised)


def _is_tracking_failure(error: Exception) -> bool:
    """Return whether MLflow or a library below it failed; any other failure is our own bug.

    The types of their errors depend on the place, for example if a bucket needs a missing
    package. The decision therefore uses the modules in the traceback, not a list of types.
    """
    frames = [
        str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    modules = {name.split(".")[0] for name in (*frames, type(error).__module__)}
    return isinstance(error, OSError) or not modules.isdisjoint(_LIBRARIES)
