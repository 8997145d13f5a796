"""When a sweep is projected: cell by cell on a thread while it goes on, and whole at its end.

Owns the thread and what becomes of MLflow's failures: they never stop a sweep.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from turbo_lab.errors import IncompleteError
from turbo_lab.identity import digest
from turbo_lab.store.record import document
from turbo_lab.store.store import Store
from turbo_lab.tracking.runs import Runs
from turbo_lab.tracking.settings import TrackingSettings


class Tracker:
    """Projects sweeps to one place.

    What it has queued are calls that read the store, so that a place slower than
    the model neither holds it up nor fills the memory.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self.settings = settings
        self._runs: Runs | None = None
        self._sweep: Mapping[str, Any] = {}
        self._parent_id: str | None = None
        self._rows: queue.SimpleQueue[Callable[[], Mapping[str, Any]] | None] = queue.SimpleQueue()
        self._at_work = threading.Lock()
        self._is_given_up = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def begin(self, sweep: Mapping[str, Any]) -> None:
        """Name the sweep whose cells follow; its run is opened by :meth:`start`.

        ``sweep``: of its document the id, the store and each cell's model.
        """
        self._sweep = sweep

    def start(self) -> None:
        """Start the thread, which imports MLflow and opens the sweep's run; do it once.

        A sweep calls this after its first batch: before that, the import would compete
        with the loading of the model for the interpreter.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
            self._thread.start()

    def add(self, row: Callable[[], Mapping[str, Any]]) -> None:
        """A cell is finished; ``row`` makes its row of the document, on the thread."""
        self._rows.put(row)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is projected meanwhile: a latency is measured."""
        with self._at_work:
            yield

    def give_up(self) -> None:
        """The sweep was cut off: its run is ``KILLED`` until it is resumed."""
        if self._thread is not None:
            self._is_given_up = True
            self._stop()

    def project_news(
        self, values: Mapping[str, Any], sheet: Path | None, store: Store
    ) -> dict[str, str]:
        """:meth:`project`, unless the store remembers that nothing is new.

        MLflow is then not even opened; once a sweep has begun, its run has to be closed.
        """
        folder = store.sweep_folder(values["sweep_id"])
        path = folder / f"projected-{digest(self.settings.uri)[:12]}.json"
        known = store.read_note(path)
        is_known = isinstance(known.get("runs"), dict)
        if is_known and self._thread is None and known["mark"] == self.settings.mark(values):
            return dict(known["runs"])
        # A projection that is killed can only be replayed from the document.
        store.write_document(folder / "sweep.json", document("sweep", values))
        runs = self.project(values, sheet)
        store.write_document(path, {"mark": self.settings.mark(values), "runs": runs})
        return runs

    def project(self, values: Mapping[str, Any], sheet: Path | None) -> dict[str, str]:
        """Bring one ``sweep`` document into MLflow; returns run ids by record id.

        Raises :class:`IncompleteError` where MLflow cannot be reached or fails.
        """
        try:
            return self._opened().project(values, sheet)
        except Exception as error:
            if not _is_tracking_failure(error):
                raise
            reason = " ".join(str(error).split())[:300]
            raise IncompleteError(
                f"tracking: {self.settings.uri} failed ({reason}); the results are in the "
                "store: run `turbo-lab sync` once it is back"
            ) from error

    def record_of(self, run_id: str) -> str:
        """The record that a run projects. Raises ``InputError`` for a run that is not ours."""
        return self._opened().record_of(run_id)

    def _stop(self) -> None:
        """Wait for what is queued."""
        assert self._thread is not None
        self._rows.put(None)
        self._thread.join()

    def _opened(self) -> Runs:
        """The runs, for this thread to use; raises what hindered their opening.

        What failed later is let go: who asks is about to project the whole.
        """
        self.start()
        self._stop()
        if self._error is not None and (
            self._runs is None or not _is_tracking_failure(self._error)
        ):
            raise self._error
        assert self._runs is not None
        return self._runs

    def _work(self) -> None:
        try:
            with self._at_work:
                self._runs = Runs(self.settings)
                if self._sweep:
                    self._parent_id = self._runs.begin(self._sweep)
            while (row := self._rows.get()) is not None:
                self._add(row)
            if self._is_given_up and self._parent_id is not None:
                self._runs.end(self._parent_id, "KILLED")
        except Exception as error:  # noqa: BLE001  (for whoever projects the whole)
            self._error = error

    def _add(self, row: Callable[[], Mapping[str, Any]]) -> None:
        if self._is_given_up:
            return
        assert self._runs is not None and self._parent_id is not None
        with self._at_work:
            self._runs.add(self._sweep, self._parent_id, row())


def _is_tracking_failure(error: Exception) -> bool:
    """MLflow's own, or the network's or the database's; anything else is our bug."""
    modules = ("mlflow", "requests", "urllib3", "sqlalchemy", "sqlite3")
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in modules
