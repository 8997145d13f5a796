"""Runs of a sweep in MLflow: one parent, and one child per cell.

Owns the content of each run, and writes nothing twice.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.documents.cut_off import CutOffSweep
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.errors import IncompleteError, InputError, StoreError
from turbo_lab.tracking import database
from turbo_lab.tracking.artifacts import upload
from turbo_lab.tracking.pictures import SHOWS_IMAGES, image_stem, write_image, write_images
from turbo_lab.tracking.projection import (
    MAX_DATASET_NAME,
    PREFIX,
    SweepHead,
    cell_metrics,
    cell_name,
    cell_tags,
    parameter_text,
    safe_key,
    shortened,
    sweep_name,
    sweep_tags,
)
from turbo_lab.tracking.settings import DATABASE, TrackingSettings
from turbo_lab.untrusted.paths import check_regular, open_lock, read_regular

if TYPE_CHECKING:
    from mlflow.entities import Run

EXPERIMENT = "turbo-lab"
# Value of tracking.images when the files of a run were logged; on a parent, once it has its sheet.
_IMAGES = PREFIX + "images"
# The page then opens with the table of runs, and not with traces.
_KIND = "custom_model_development"
# Counts that do not depend on the previous content of the store.
_STABLE_COUNTS = ("requested", "distinct", "failed")
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Runs:
    """Runs of this project's experiment at one place."""

    def __init__(self, settings: TrackingSettings) -> None:
        """Import MLflow, and create the database and the experiment if needed; takes seconds."""
        self.settings = settings
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        for noisy in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        if settings.login is not None:
            # MLflow reads them for each request, and would quote an address that contains them.
            os.environ["MLFLOW_TRACKING_USERNAME"] = settings.login[0]
            os.environ["MLFLOW_TRACKING_PASSWORD"] = settings.login[1]
        self._running: set[str] = set()
        if settings.artifacts is not None:  # a database of the project, not one that was named
            path = settings.artifacts.with_name(DATABASE)
            if os.path.lexists(path):
                check_regular(path, error=IncompleteError)
        with self._alone():
            if settings.database is not None:
                database.listen()
                database.ensure(settings.database, settings.uri, settings.artifacts)
                if settings.artifacts is not None:
                    database.relocate(settings.database, EXPERIMENT, settings.artifacts)
            self._client = MlflowClient(tracking_uri=settings.client_uri)
            self._experiment = self._open_experiment()

    def _open_experiment(self) -> str:
        """Return the id of our experiment, which is created if it does not exist."""
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            artifacts = self.settings.artifacts
            location = None if artifacts is None else artifacts.as_uri()
            created = str(self._client.create_experiment(EXPERIMENT, location))
            self._client.set_experiment_tag(created, "mlflow.experimentKind", _KIND)
            return created
        if found.lifecycle_stage == "deleted":
            uri = shlex.quote(self.settings.public_uri)
            raise IncompleteError(
                f"tracking: MLflow's experiment {EXPERIMENT} was deleted; to restore it with its "
                f"runs, run `MLFLOW_TRACKING_URI={uri} mlflow experiments restore "
                f"--experiment-id {found.experiment_id}`, then `turbo-lab sync`"
            )
        return str(found.experiment_id)

    def record_of(self, run_id: str) -> str:
        """Return the id of the record that a run projects.

        Raises ``InputError`` for a run that is not ours.
        """
        from mlflow.exceptions import MlflowException

        try:
            tags = self._client.get_run(run_id).data.tags
        except MlflowException as error:
            raise InputError(f"{run_id}: {self.settings.public_uri} has no such run") from error
        if PREFIX + "record_id" not in tags:
            raise InputError(
                f"{run_id}: is not the run of a cell; pass one of the sweep's child runs"
            )
        return str(tags[PREFIX + "record_id"])

    def begin(self, sweep: SweepHead) -> str:
        """Open the run of a sweep that is starting or resuming, and return its id."""
        with self._alone():
            parent = self._parent(self._known(sweep.sweep_id), sweep)
            if parent.info.status != "RUNNING":  # an earlier invocation closed it
                self._client.update_run(parent.info.run_id, status="RUNNING")
            self._running.add(parent.info.run_id)
        return str(parent.info.run_id)

    def add(self, sweep: SweepHead, parent_id: str, cell: CellResult) -> None:
        """Project a finished cell while its sweep is running."""
        with self._alone():
            known = self._known(sweep.sweep_id, cell.record_id)
            self._complete(self._child(known, sweep, parent_id, cell), cell)

    def end(self, run_id: str, status: str) -> None:
        """Close a run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self._client.set_terminated(run_id, status)
        self._running.discard(run_id)

    def abandon(self) -> None:
        """Close runs that are RUNNING as ``KILLED``; a later projection completes them."""
        for run_id in tuple(self._running):
            self.end(run_id, "KILLED")

    def abandon_after(self, error: BaseException) -> None:
        """Call :meth:`abandon` because of ``error``, which says more than a dead server's answer.

        A failure to close the runs is noted on ``error``.
        """
        try:
            self.abandon()
        except Exception as second:  # noqa: BLE001  (any library below MLflow may raise it)
            error.add_note(
                f"MLflow still shows runs as RUNNING ({type(second).__name__}: {second})"
            )

    @contextmanager
    def _complete_or_killed(self) -> Iterator[None]:
        """Close the running runs if one cannot be completed, such as one with missing files."""
        try:
            yield
        except BaseException as error:
            self.abandon_after(error)
            raise

    def project(self, result: SweepResult | CutOffSweep, sheet: Path | None) -> dict[str, str]:
        """Project a sweep into MLflow, and return run ids by record id.

        The run of a sweep that was cut off is ``KILLED`` until the sweep is resumed.
        """
        with self._alone(), self._complete_or_killed():
            return self._project(result, sheet)

    def _project(self, result: SweepResult | CutOffSweep, sheet: Path | None) -> dict[str, str]:
        sweep = SweepHead.of(result)
        known = self._known(sweep.sweep_id)
        parent = self._parent(known, sweep)
        parent_id, ids, news = parent.info.run_id, {}, "" not in known
        for cell in result.cells:
            run = self._child(known, sweep, parent_id, cell)
            news |= self._complete(run, cell)
            ids[cell.record_id] = run.info.run_id
        news |= not _is_done(parent) or _IMAGES not in parent.data.tags
        if sheet is not None and self.settings.images != "none" and news:
            self._log_sheet(parent, sheet)
        # The number of reused cells changes with each invocation; these counts do not.
        counts = {f"cells_{k}": float(getattr(result.counts, k)) for k in _STABLE_COUNTS}
        changed = {k: v for k, v in counts.items() if parent.data.metrics.get(k) != v}
        is_whole = isinstance(result, SweepResult)
        wall_s = {"wall_s": result.wall_s} if isinstance(result, SweepResult) else {}
        self._log(parent, changed | ({} if "wall_s" in parent.data.metrics else wall_s), {})
        if not _is_done(parent):
            self.end(parent_id, "FINISHED" if is_whole else "KILLED")
        return ids

    def _log_sheet(self, parent: Run, sheet: Path) -> None:
        """Log the contact sheet as a file, and as the image that the page shows for the sweep."""
        parent_id = parent.info.run_id
        content = read_regular(sheet, error=StoreError)
        with tempfile.TemporaryDirectory() as aside:
            folder = Path(aside)
            (folder / sheet.name).write_bytes(content)
            (folder / "images").mkdir()
            # One name, so that a sheet of more images replaces the one before.
            write_image(folder / "images" / image_stem("contact sheet", 0, ""), content)
            upload(folder, parent.info.artifact_uri, self.settings)
        self._client.set_tag(parent_id, SHOWS_IMAGES, "True")
        self._client.set_tag(parent_id, _IMAGES, "sheet")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock a local database, so that only one process uses it.

        Otherwise two first starts would collide while they create the schema, and two
        projections of one sweep would create each run twice.
        """
        path = self.settings.database
        if path is None:
            yield
            return
        handle = open_lock(path.with_name(".mlflow.lock"), IncompleteError)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _known(self, sweep_id: str, record_id: str | None = None) -> dict[str, Run]:
        """Return the runs of a sweep, or of one of its cells, by record id; the parent's is empty.

        If two simultaneous projections created two runs of one cell, the finished one counts, and
        the other is closed if it is RUNNING.
        """
        query = f"tags.`{PREFIX}sweep_id` = '{sweep_id}'"
        if record_id is not None:
            query += f" and tags.`{PREFIX}record_id` = '{record_id}'"
        found: dict[str, Run] = {}
        for run in self._search(query):
            if run.info.status == "RUNNING":
                self._running.add(run.info.run_id)
            name = run.data.tags.get(PREFIX + "record_id", "")
            kept = found.setdefault(name, run)
            if kept is run:
                continue
            if _is_done(run) and not _is_done(kept):
                found[name], run = run, kept
            if run.info.status == "RUNNING":
                self.end(run.info.run_id, "KILLED")
        return found

    def _search(self, query: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], query, max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _parent(self, known: Mapping[str, Run], sweep: SweepHead) -> Run:
        if "" in known:
            return known[""]
        return self._create(sweep_tags(sweep), sweep_name(sweep))

    def _child(
        self,
        known: Mapping[str, Run],
        sweep: SweepHead,
        parent_id: str,
        cell: CellResult,
    ) -> Run:
        if cell.record_id in known:
            return known[cell.record_id]
        tags = {
            **cell_tags(sweep, cell),
            _IMAGES: self.settings.images,
            "mlflow.parentRunId": parent_id,
        }
        return self._create(tags, cell_name(cell))

    def _create(self, tags: Mapping[str, str], name: str) -> Run:
        run = self._client.create_run(self._experiment, tags=dict(tags), run_name=name)
        self._running.add(run.info.run_id)
        return run

    def _complete(self, run: Run, cell: CellResult) -> bool:
        """Add what a run still lacks; return ``False`` if there was nothing to add."""
        run_id, error = run.info.run_id, cell.error
        status = "FAILED" if cell.is_failed else "FINISHED"
        # Logging appends, so a metric that exists is not logged again.
        metrics = {k: v for k, v in cell_metrics(cell).items() if k not in run.data.metrics}
        is_closed = run.info.status == status
        # An earlier projection may have had fewer images.
        lacks_images = self.settings.images == "all" != run.data.tags.get(_IMAGES)
        if is_closed:
            self._log(run, metrics, {})
            if lacks_images:
                self._log_files(run, cell)
            return lacks_images or any(map(math.isfinite, metrics.values()))
        parameters = {safe_key(k): v for k, v in cell.parameters.by_key().items()}
        parameters = {k: v for k, v in parameters.items() if k not in run.data.params}
        self._log(run, metrics, parameters)
        self._log_datasets(run, cell)
        self._log_files(run, cell)
        if error is None and PREFIX + "error" in run.data.tags:  # a retry succeeded
            self._client.delete_tag(run_id, PREFIX + "error")
        self.end(run_id, status)
        return True

    def _log(
        self, run: Run, metrics: Mapping[str, float], parameters: Mapping[str, object]
    ) -> None:
        """Log metrics and parameters in one call."""
        from mlflow.entities import Metric, Param

        # Of two values with one timestamp, MLflow shows the larger one, not the later one.
        stamp = time.time_ns() // 1_000_000
        points = [Metric(k, v, stamp, 0) for k, v in metrics.items() if math.isfinite(v)]
        params = [Param(k, parameter_text(v)) for k, v in parameters.items()]
        if points or params:
            self._client.log_batch(run.info.run_id, metrics=points, params=params)

    def _log_datasets(self, run: Run, cell: CellResult) -> None:
        """Log the prompt sets by digest, so that runs can be filtered by them."""
        from mlflow.entities import Dataset, DatasetInput

        known = {entry.dataset.name for entry in run.inputs.dataset_inputs}
        prompt_sets = cell.provenance.prompt_sets
        named = {shortened(name, MAX_DATASET_NAME): digest for name, digest in prompt_sets.items()}
        sets = [
            # MLflow keeps 36 characters of a digest; the whole one is in the tags.
            DatasetInput(Dataset(name, digest[:36], "local", json.dumps({"digest": digest})))
            for name, digest in named.items()
            if name not in known
        ]
        if sets:
            self._client.log_inputs(run.info.run_id, sets)

    def _log_files(self, run: Run, cell: CellResult) -> None:
        """Log the record, and the images by prompt and seed, in one call."""
        run_id, wanted = run.info.run_id, self.settings.images
        with tempfile.TemporaryDirectory() as aside:
            folder = Path(aside)
            record = read_regular(cell.record, error=StoreError)
            (folder / "record.json").write_bytes(record)
            if wanted == "all" and cell.images:
                write_images(cell.images, folder / "images")
            upload(folder, run.info.artifact_uri, self.settings)
            if (folder / "images").exists():
                self._client.set_tag(run_id, SHOWS_IMAGES, "True")
        if run.data.tags.get(_IMAGES) != wanted:
            self._client.set_tag(run_id, _IMAGES, wanted)


def _is_done(run: Run) -> bool:
    return str(run.info.status) == "FINISHED"
