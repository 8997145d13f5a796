"""Runs of a sweep in MLflow: one parent, and one child per cell.

Owns the content of each run, and writes nothing twice.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.documents.cut_off import CutOffSweep
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.errors import IncompleteError, InputError, StoreError
from turbo_lab.identity import digest
from turbo_lab.store.judgement import Judgement
from turbo_lab.tracking import database
from turbo_lab.tracking.artifacts import upload
from turbo_lab.tracking.cell_runs import (
    IMAGES,
    CellRuns,
    changed_tags,
    end_time,
    log_batch,
    metric_points,
    run_status,
)
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.names import MAX_TAG, PREFIX, cut, safe_key, tags
from turbo_lab.tracking.pictures import FOLDER, SHOWS_IMAGES, image_stem, write_image
from turbo_lab.tracking.projection import (
    NOTHING,
    Attachments,
    SweepHead,
    cell_tags,
    judgement_head,
    run_name,
    span,
    sweep_counts,
    sweep_late_tags,
    sweep_name,
    sweep_parameters,
    sweep_tags,
)
from turbo_lab.tracking.settings import DATABASE, TrackingSettings
from turbo_lab.untrusted.paths import check_regular, open_lock, read_regular

if TYPE_CHECKING:
    from mlflow.entities import Run

# Shown as the metric of the experiment.
_PRIMARY = {
    "mlflow.experiment.primaryMetric.name": "clip_score",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}
_NOTE = "mlflow.note.content"
# Digest of the description that we wrote: one that a person has changed is kept.
_OUR_NOTE = PREFIX + "note"
_PAGE = "report.html"
# The page then opens with the table of runs, and not with traces.
_KIND = "custom_model_development"
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
                    database.relocate(settings.database, settings.experiment, settings.artifacts)
            self._client = MlflowClient(tracking_uri=settings.client_uri)
            self._experiment = self._open_experiment()
            self._cells = CellRuns(self._client, self._experiment, settings)

    def _open_experiment(self) -> str:
        """Return the id of our experiment, which is created if it does not exist."""
        name = self.settings.experiment
        found = self._client.get_experiment_by_name(name)
        if found is None:
            artifacts = self.settings.artifacts
            location = None if artifacts is None else artifacts.as_uri()
            labels = {"mlflow.experimentKind": _KIND, **_PRIMARY}
            return str(self._client.create_experiment(name, location, labels))
        if found.lifecycle_stage == "deleted":
            uri = shlex.quote(self.settings.public_uri)
            raise IncompleteError(
                f"tracking: MLflow's experiment {name} was deleted; to restore it with its "
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
            self._complete(self._child(known, sweep, parent_id, cell), cell, sweep)

    def end(self, run_id: str, status: str, end_time: int | None = None) -> None:
        """Close a run: ``FINISHED``, ``FAILED`` or ``KILLED``.

        ``end_time``: in milliseconds; ``None``: now.
        """
        self._client.set_terminated(run_id, status, end_time)
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

    def project(
        self, result: SweepResult | CutOffSweep, attached: Attachments = NOTHING
    ) -> dict[str, str]:
        """Project a sweep into MLflow, and return run ids by record id.

        The run of a sweep that was cut off is ``KILLED`` until the sweep is resumed.
        """
        with self._alone(), self._complete_or_killed():
            return self._project(result, attached)

    def _project(self, result: SweepResult | CutOffSweep, attached: Attachments) -> dict[str, str]:
        sweep = SweepHead.of(result)
        known = self._known(sweep.sweep_id)
        parent = self._parent(known, sweep, result.cells)
        parent_id, ids, news = parent.info.run_id, {}, "" not in known
        for cell in result.cells:
            run = self._child(known, sweep, parent_id, cell)
            news |= self._complete(run, cell, sweep)
            ids[cell.record_id] = run.info.run_id
        wanted = "none" if self.settings.images == "none" else "sheet"
        news |= not _is_done(parent) or parent.data.tags.get(IMAGES) not in (wanted, "sheet")
        is_whole = isinstance(result, SweepResult)
        if news:
            self._attach(parent, attached)
        self._describe(parent, result, attached, ids)
        end = end_time(parent, result.cells) if is_whole else None
        if not _is_done(parent) or end not in (None, parent.info.end_time):
            self.end(parent_id, "FINISHED" if is_whole else "KILLED", end)
        return ids

    def project_judgement(self, judgement: Judgement, page: Callable[[], str]) -> str:
        """Project a comparison or a gate, unless it is there, and return the id of its run."""
        with self._alone(), self._complete_or_killed():
            query = f"tags.`{PREFIX}judgement_id` = '{judgement.judgement_id}'"
            known = sorted(self._search(query), key=_is_done, reverse=True)
            run = known[0] if known else self._create(*judgement_head(judgement))
            run_id = str(run.info.run_id)
            if _is_done(run):
                return run_id
            if self.settings.images != "none":
                with tempfile.TemporaryDirectory() as aside:
                    (Path(aside) / _PAGE).write_text(page(), encoding="utf-8")
                    upload(Path(aside), run.info.artifact_uri, self.settings)
            figures = {safe_key(key): value for key, value in judgement.metrics.items()}
            new = {key: value for key, value in figures.items() if key not in run.data.metrics}
            log_batch(self._client, run_id, metric_points(new), judgement.parameters, {})
            self.end(run_id, "FINISHED", run.info.start_time)
        return run_id

    def _describe(
        self,
        parent: Run,
        result: SweepResult | CutOffSweep,
        attached: Attachments,
        ids: Mapping[str, str],
    ) -> None:
        """Add parameters, counts, the best cells and the description, as far as they changed."""
        found = {**sweep_counts(result), **tags({f"best.{k}": v for k, v in attached.best.items()})}
        parameters: dict[str, object] = {}
        if isinstance(result, SweepResult) and result.cells:
            first = result.cells[0]
            facts = CellFacts.of(first, result.store)
            found |= sweep_late_tags(result, facts)
            parameters = sweep_parameters(result, facts)
        if attached.describe is not None:
            page = f"#/experiments/{self._experiment}/runs"
            links = {record_id: f"{page}/{run_id}" for record_id, run_id in ids.items()}
            found |= _description(parent, attached.describe(links))
        new = {key: value for key, value in parameters.items() if key not in parent.data.params}
        log_batch(self._client, parent.info.run_id, [], new, changed_tags(parent, found))

    def _attach(self, parent: Run, attached: Attachments) -> None:
        """Log the report, and the contact sheet: as a file, and as the image of the sweep."""
        found = {IMAGES: "none"}
        with tempfile.TemporaryDirectory() as aside:
            folder = Path(aside)
            if attached.page is not None:
                (folder / _PAGE).write_text(attached.page(), encoding="utf-8")
            if attached.sheet is not None and self.settings.images != "none":
                content = read_regular(attached.sheet, error=StoreError)
                (folder / attached.sheet.name).write_bytes(content)
                (folder / FOLDER).mkdir()
                # One name, so that a sheet of more images replaces the one before.
                write_image(folder / FOLDER / image_stem("contact sheet", 0, ""), content)
                found = {SHOWS_IMAGES: "True", IMAGES: "sheet"}
            if any(folder.iterdir()):
                upload(folder, parent.info.artifact_uri, self.settings)
        log_batch(self._client, parent.info.run_id, [], {}, found)

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

    def _parent(
        self, known: Mapping[str, Run], sweep: SweepHead, cells: Sequence[CellResult] = ()
    ) -> Run:
        if "" in known:
            return known[""]
        return self._create(sweep_tags(sweep), sweep_name(sweep), span(cells)[0])

    def _child(
        self,
        known: Mapping[str, Run],
        sweep: SweepHead,
        parent_id: str,
        cell: CellResult,
    ) -> Run:
        if cell.record_id in known:
            return known[cell.record_id]
        own = {
            **cell_tags(sweep, cell),
            IMAGES: self.settings.images,
            "mlflow.parentRunId": parent_id,
        }
        return self._create(own, run_name(cell), span([cell])[0])

    def _create(self, own: Mapping[str, str], name: str, start_time: int | None) -> Run:
        run = self._client.create_run(
            self._experiment, start_time=start_time, tags=dict(own), run_name=name
        )
        self._running.add(run.info.run_id)
        return run

    def _complete(self, run: Run, cell: CellResult, sweep: SweepHead) -> bool:
        """Add what a run still lacks; return ``False`` if there was nothing to add."""
        news = self._cells.complete(run, cell, Path(sweep.store))
        status, end = run_status(cell), end_time(run, [cell])
        if run.info.status != status or end not in (None, run.info.end_time):
            self.end(run.info.run_id, status, end)
        return news


def _description(parent: Run, text: str) -> dict[str, str]:
    """Return the tags that describe a run; none if a person has changed the description."""
    found, ours = parent.data.tags.get(_NOTE), parent.data.tags.get(_OUR_NOTE)
    if found is not None and digest(found) != ours:
        return {}
    text = cut(text, MAX_TAG)
    return {_NOTE: text, _OUR_NOTE: digest(text)}


def _is_done(run: Run) -> bool:
    return str(run.info.status) == "FINISHED"
