"""The projection of a sweep into MLflow: the only module that imports it.

Owns run names, tags, parameters and artifacts. The store is the truth and this
is a copy: it can be made again at any time, adds nothing twice, completes runs
that a killed projection left RUNNING, and never stops a sweep.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab.errors import IncompleteError, InputError
from turbo_lab.identity import digest
from turbo_lab.projection import (
    PREFIX,
    cell_metrics,
    cell_name,
    cell_tags,
    content_digest,
    parameter_text,
    sweep_name,
    sweep_tags,
)
from turbo_lab.record import document
from turbo_lab.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

EXPERIMENT = "turbo-lab"
# Of a sweep document's counts.
_STABLE_COUNTS = ("requested", "distinct", "failed")
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class TrackingSettings:
    """Where to project, and how much."""

    uri: str
    """``sqlite:///`` of a local file, or the address of a server."""
    artifacts: Path | None
    """Folder of a local database's artifacts; ``None``: the server's own."""
    images: str
    """``all``, ``sheet`` or ``none``."""

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> TrackingSettings | None:
        """The ``tracking`` node; ``None`` for ``tracking=none``."""
        if values["images"] not in ("all", "sheet", "none"):
            raise InputError(f"tracking.images={values['images']}: must be all, sheet or none")
        if values["kind"] == "none":
            return None
        if values["kind"] == "server":
            return cls(str(values["uri"]), None, values["images"])
        here = Path.cwd()
        return cls(f"sqlite:///{here / 'mlflow.db'}", here / "mlartifacts", values["images"])

    def mark(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a projection of a sweep would leave behind, by content and place.

        Equal marks mean that nothing is new. ``None`` where the local database is gone.
        """
        place: dict[str, Any] = {"uri": self.uri, "images": self.images}
        if self.artifacts is not None:
            database = Path(self.uri.removeprefix("sqlite:///"))
            if not database.exists():
                return None
            place["inode"] = database.stat().st_ino  # a database made anew is another one
        return {**place, "content": content_digest(values)}


class Tracker:
    """Projects sweep documents; opening MLflow, once asked for, runs on a thread meanwhile."""

    def __init__(self, settings: TrackingSettings) -> None:
        self.settings = settings
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin to open MLflow, which takes seconds; work may go on meanwhile."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._open, name="mlflow", daemon=True)
            self._thread.start()

    def project_news(
        self, values: Mapping[str, Any], sheet: Path | None, store: Store
    ) -> dict[str, str]:
        """:meth:`project`, unless the store remembers that nothing is new.

        MLflow is then not even opened.
        """
        folder = store.sweep_folder(values["sweep_id"])
        path = folder / f"projected-{digest(self.settings.uri)[:12]}.json"
        known = _remembered(path)
        if known and known.get("mark") == self.settings.mark(values):
            return dict(known["runs"])
        # A projection that is killed can only be replayed from the document.
        store.write_document(folder / "sweep.json", document("sweep", values))
        runs = self.project(values, sheet)
        store.write_document(path, {"mark": self.settings.mark(values), "runs": runs})
        return runs

    def project(self, values: Mapping[str, Any], sheet: Path | None) -> dict[str, str]:
        """Bring one sweep into MLflow; returns run ids by record id.

        Raises :class:`IncompleteError` where MLflow cannot be reached or fails.
        """
        try:
            self._wait()
            if self._error is not None:
                raise self._error
            with self._alone():
                return self._project(values, sheet)
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
        self._wait()
        if self._error is not None:
            raise self._error
        from mlflow.exceptions import MlflowException

        assert self._client is not None
        try:
            tags = self._client.get_run(run_id).data.tags
        except MlflowException as error:
            raise InputError(f"{run_id}: {self.settings.uri} has no such run") from error
        if PREFIX + "record_id" not in tags:
            raise InputError(f"{run_id}: is no run of one cell; take one of the sweep's children")
        return str(tags[PREFIX + "record_id"])

    def _wait(self) -> None:
        self.open()
        assert self._thread is not None
        self._thread.join()

    def _open(self) -> None:
        try:
            for name, value in _ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            for noisy in ("alembic", "mlflow.store.db.utils"):
                logging.getLogger(noisy).setLevel(logging.WARNING)
            from mlflow.tracking import MlflowClient

            if self.settings.artifacts is not None:
                _sync_once_a_checkpoint()
            client = MlflowClient(tracking_uri=self.settings.uri)
            with self._alone():
                found = client.get_experiment_by_name(EXPERIMENT)
                artifacts = self.settings.artifacts
                location = None if artifacts is None else artifacts.as_uri()
                self._experiment = (
                    found.experiment_id if found else client.create_experiment(EXPERIMENT, location)
                )
            self._client = client
        except Exception as error:  # noqa: BLE001  (handed to the caller of project())
            self._error = error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time for a local database.

        First openings collide while its schema is created, and two projections of
        one sweep would make each run twice.
        """
        if self.settings.artifacts is None:
            yield
            return
        with (self.settings.artifacts.parent / ".mlflow.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _project(self, values: Mapping[str, Any], sheet: Path | None) -> dict[str, str]:
        client = self._client
        assert client is not None
        runs = self._known_runs(values["sweep_id"])
        parent = self._begin(runs.get(""), sweep_name(values), sweep_tags(values))
        ids, news = {}, runs.get("") is None
        for cell in values["cells"]:
            tags = {
                **cell_tags(values, cell),
                "mlflow.parentRunId": parent.info.run_id,
            }
            run = self._begin(runs.get(cell["record_id"]), cell_name(cell), tags)
            news |= self._complete(run, cell)
            ids[cell["record_id"]] = run.info.run_id
        if sheet is not None and self.settings.images != "none" and (news or not _is_done(parent)):
            client.log_artifact(parent.info.run_id, str(sheet))
        # How many were reused is another number each time; these are the sweep's own.
        counts = {f"cells_{k}": float(values["counts"][k]) for k in _STABLE_COUNTS}
        changed = {k: v for k, v in counts.items() if parent.data.metrics.get(k) != v}
        wall_s = {} if "wall_s" in parent.data.metrics else {"wall_s": values["wall_s"]}
        self._log(parent, {**changed, **wall_s}, ())
        if not _is_done(parent):
            client.set_terminated(parent.info.run_id, "FINISHED")
        return ids

    def _known_runs(self, sweep_id: str) -> dict[str, Run]:
        """Runs of this sweep by record id; the parent's is empty.

        Where two projections at once made two of one, the finished one counts,
        and the other is closed if it was left RUNNING.
        """
        assert self._client is not None
        found: dict[str, Run] = {}
        for run in self._search(f"tags.`{PREFIX}sweep_id` = '{sweep_id}'"):
            name = run.data.tags.get(PREFIX + "record_id", "")
            kept = found.setdefault(name, run)
            if kept is run:
                continue
            if _is_done(run) and not _is_done(kept):
                found[name], run = run, kept
            if run.info.status == "RUNNING":
                self._client.set_terminated(run.info.run_id, "KILLED")
        return found

    def _search(self, query: str) -> Iterator[Run]:
        assert self._client is not None
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], query, max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _begin(self, run: Run | None, name: str, tags: Mapping[str, str]) -> Run:
        assert self._client is not None
        if run is not None:
            return run
        return self._client.create_run(self._experiment, tags=dict(tags), run_name=name)

    def _complete(self, run: Run, cell: Mapping[str, Any]) -> bool:
        """What a run still lacks; ``False`` where that is nothing."""
        assert self._client is not None
        run_id, error = run.info.run_id, cell["error"]
        status = "FAILED" if cell["status"] == "failed" else "FINISHED"
        # Logging appends: a figure that is there is left alone.
        metrics = {k: v for k, v in cell_metrics(cell).items() if k not in run.data.metrics}
        is_closed = run.info.status == status
        if is_closed and not any(map(math.isfinite, metrics.values())):
            return False
        if is_closed:
            self._log(run, metrics, ())
            return True
        parameters = [(k, v) for k, v in cell["parameters"].items() if k not in run.data.params]
        self._log(run, metrics, parameters)
        self._log_datasets(run, cell)
        self._log_files(run_id, cell)
        if error is None and PREFIX + "error" in run.data.tags:  # it has been tried again
            self._client.delete_tag(run_id, PREFIX + "error")
        self._client.set_terminated(run_id, status)
        return True

    def _log(
        self, run: Run, metrics: Mapping[str, float], parameters: Sequence[tuple[str, Any]]
    ) -> None:
        """Figures and parameters in one call."""
        from mlflow.entities import Metric, Param

        assert self._client is not None
        # Of two values of one moment MLflow shows the larger, not the later.
        stamp = time.time_ns() // 1_000_000
        points = [Metric(k, v, stamp, 0) for k, v in metrics.items() if math.isfinite(v)]
        params = [Param(k, parameter_text(v)) for k, v in parameters]
        if points or params:
            self._client.log_batch(run.info.run_id, metrics=points, params=params)

    def _log_datasets(self, run: Run, cell: Mapping[str, Any]) -> None:
        """The prompt sets by digest, so that runs can be filtered by them."""
        from mlflow.entities import Dataset, DatasetInput

        assert self._client is not None
        known = {entry.dataset.name for entry in run.inputs.dataset_inputs}
        sets = [
            # MLflow keeps 36 characters of a digest; the whole one is in the tags.
            DatasetInput(Dataset(name, digest[:36], "local", json.dumps({"digest": digest})))
            for name, digest in cell["provenance"]["prompt_sets"].items()
            if name not in known
        ]
        if sets:
            self._client.log_inputs(run.info.run_id, sets)

    def _log_files(self, run_id: str, cell: Mapping[str, Any]) -> None:
        """The record, and the images by prompt and seed, in one call."""
        assert self._client is not None
        with tempfile.TemporaryDirectory() as aside:
            folder = Path(aside)
            (folder / "record.json").write_bytes(Path(cell["record"]).read_bytes())
            if self.settings.images == "all" and cell["images"]:
                (folder / "images").mkdir()
                for index, image in enumerate(cell["images"]):
                    slug = re.sub(r"[^a-z0-9]+", "-", image["prompt"].lower()).strip("-")[:60]
                    name = f"{index:04d}-{slug}-seed{image['seed']}.png"
                    (folder / "images" / name).symlink_to(image["path"])
            self._client.log_artifacts(run_id, aside)


def _sync_once_a_checkpoint() -> None:
    """SQLite's write-ahead log: MLflow commits nine times a run, each with several syncs otherwise.

    A power cut may cost the last runs, never the file; ``turbo-lab sync`` makes them again.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "connect", _on_connect):
        event.listen(Engine, "connect", _on_connect)


def _on_connect(connection: Any, record: object) -> None:
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


def _remembered(path: Path) -> dict[str, Any]:
    """What was projected; nothing where the note is absent or damaged: it is written anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("runs"), dict) else {}


def _is_tracking_failure(error: Exception) -> bool:
    """MLflow's own, or the network's or the database's; anything else is our bug."""
    modules = ("mlflow", "requests", "urllib3", "sqlalchemy", "sqlite3")
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in modules


def _is_done(run: Run | None) -> bool:
    return run is not None and run.info.status == "FINISHED"


__all__: Sequence[str] = ["Tracker", "TrackingSettings"]
