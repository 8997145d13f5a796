"""Content of the run of a cell: what it still lacks is added, and nothing is written twice."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab.documents.sweep import CellResult
from turbo_lab.identity import digest
from turbo_lab.store.record import CellStatus
from turbo_lab.tracking import system
from turbo_lab.tracking.artifacts import upload
from turbo_lab.tracking.evaluation import TABLE, TABLE_TAGS, dataset, images_table
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.models import Models, linked
from turbo_lab.tracking.names import PREFIX, parameter_text, safe_key
from turbo_lab.tracking.pictures import FOLDER, SHOWS_IMAGES, write_images
from turbo_lab.tracking.projection import cell_metrics, cell_parameters, late_tags, span
from turbo_lab.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, Metric, Run

IMAGES = PREFIX + "images"
"""Tag with the value of ``tracking.images`` when the files of a run were logged."""
_TABLE = PREFIX + "table"
_ERROR = PREFIX + "error"
# Id of the run's model: MLflow's search does not return the models of runs.
_MODEL = PREFIX + "model_id"


class CellRuns:
    """Writer of the runs of cells."""

    def __init__(self, client: MlflowClient, experiment: str, settings: TrackingSettings) -> None:
        self._client, self._settings = client, settings
        self._models = Models(client, experiment)

    def complete(self, run: Run, cell: CellResult, store: Path) -> bool:
        """Add what a run lacks, except its status; return ``False`` if it lacked nothing."""
        facts = CellFacts.of(cell, store)
        is_closed = run.info.status == run_status(cell)
        # First, because a place of artifacts may be refused.
        files = self._log_files(run, cell, facts, is_closed)
        points = self._log_values(run, cell, facts)
        if not cell.error and _ERROR in run.data.tags:  # a retry succeeded
            self._client.delete_tag(run.info.run_id, _ERROR)
        return points or files or not is_closed

    def _log_values(self, run: Run, cell: CellResult, facts: CellFacts) -> bool:
        """Log metrics, parameters, tags, data set and model, as far as the run lacks them."""
        found = cell_metrics(cell)
        # Logging appends, so a metric that exists is not logged again.
        metrics = {key: value for key, value in found.items() if key not in run.data.metrics}
        points = metric_points(metrics)
        if not any(name.startswith(system.PREFIX) for name in run.data.metrics):
            points += system.system_metrics(cell.timing)
        parameters = cell_parameters(cell, facts)
        parameters = {k: v for k, v in parameters.items() if k not in run.data.params}
        tags = changed_tags(run, late_tags(cell, facts))
        measured_on = dataset(cell)
        model_id = run.data.tags.get(_MODEL)
        is_ranked = bool(found) and (bool(points) or model_id is None)
        if measured_on is not None and is_ranked:
            model = self._models.of(cell, facts, run.info.run_id)
            if model_id != model.model_id:  # the run may have metrics of an earlier projection
                points += self._logged_points(run, found)
                tags[_MODEL] = model.model_id
            quality = [safe_key(name) for name in cell.metrics]
            points = linked(points, model, measured_on, quality)
            self._log_inputs(run, measured_on, model.model_id)
        elif measured_on is not None:
            self._log_inputs(run, measured_on)
        log_batch(self._client, run.info.run_id, points, parameters, tags)
        return bool(points or parameters or tags)

    def _logged_points(self, run: Run, names: Iterable[str]) -> list[Metric]:
        """Return the last value of metrics that the run has; equal points are not logged twice."""
        known = [name for name in names if name in run.data.metrics]
        return [self._client.get_metric_history(run.info.run_id, name)[-1] for name in known]

    def _log_inputs(self, run: Run, measured_on: Dataset, model_id: str | None = None) -> None:
        """Log the data set and, if it is given, the model as inputs of a run, once each."""
        from mlflow.entities import DatasetInput, InputTag, LoggedModelInput

        known = {entry.dataset.name for entry in run.inputs.dataset_inputs}
        context = [InputTag("mlflow.data.context", "eval")]
        sets = [] if measured_on.name in known else [DatasetInput(measured_on, context)]
        models = [] if model_id is None else [LoggedModelInput(model_id)]
        if sets or models:
            self._client.log_inputs(run.info.run_id, sets, models)

    def _log_files(self, run: Run, cell: CellResult, facts: CellFacts, is_closed: bool) -> bool:
        """Log record, table and images by prompt and seed in one call; return ``True`` if any."""
        run_id, wanted = run.info.run_id, self._settings.images
        # An earlier projection may have had fewer images.
        adds_images = not is_closed or wanted == "all" != run.data.tags.get(IMAGES)
        shows_images = wanted == "all" or run.data.tags.get(SHOWS_IMAGES) is not None
        table = images_table(cell, facts, shows_images) if cell.images else None
        mark = {} if table is None else {_TABLE: digest(table)[:16], **TABLE_TAGS}
        if not adds_images and not changed_tags(run, mark):
            return False
        tags = {IMAGES: wanted} if adds_images else {}
        with tempfile.TemporaryDirectory() as aside:
            folder = Path(aside)
            if table is not None:
                (folder / TABLE).write_text(table, encoding="utf-8")
            if adds_images:
                (folder / "record.json").write_bytes(facts.content)
            if adds_images and wanted == "all" and cell.images:
                write_images(cell.images, folder / FOLDER)
                tags[SHOWS_IMAGES] = "True"
            upload(folder, run.info.artifact_uri, self._settings)
        log_batch(self._client, run_id, [], {}, changed_tags(run, {**tags, **mark}))
        return True


def run_status(cell: CellResult) -> str:
    """Return the status of a cell's run once it is closed."""
    return "FAILED" if cell.status == CellStatus.FAILED else "FINISHED"


def end_time(run: Run, cells: Iterable[CellResult]) -> int | None:
    """Return when a run of these cells ended, in milliseconds; ``None``: unknown."""
    start, end = span(list(cells))
    return None if start is None or end is None else int(run.info.start_time) + end - start


def changed_tags(run: Run, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a run lacks, or has with another value."""
    return {key: value for key, value in tags.items() if run.data.tags.get(key) != value}


def metric_points(metrics: Mapping[str, float]) -> list[Metric]:
    """Return metrics of now, as MLflow's entities."""
    from mlflow.entities import Metric

    # Of two values with one timestamp, MLflow shows the larger one, not the later one.
    stamp = time.time_ns() // 1_000_000
    return [Metric(key, value, stamp, 0) for key, value in metrics.items()]


def log_batch(
    client: MlflowClient,
    run_id: str,
    points: list[Metric],
    parameters: Mapping[str, object],
    tags: Mapping[str, str],
) -> None:
    """Log metrics, parameters and tags in one call; no call if there is nothing to log."""
    from mlflow.entities import Param, RunTag

    params = [Param(key, parameter_text(value)) for key, value in parameters.items()]
    labels = [RunTag(key, value) for key, value in tags.items()]
    if points or params or labels:
        client.log_batch(run_id, metrics=points, params=params, tags=labels)
