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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab.errors import IncompleteError, InputError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

EXPERIMENT = "turbo-lab"
_PREFIX = "turbo_lab."
# MLflow cuts longer parameters silently.
_MAX_PARAMETER = 6000
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


class Tracker:
    """Projects sweep documents; opening MLflow runs on a thread meanwhile."""

    def __init__(self, settings: TrackingSettings) -> None:
        self.settings = settings
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._open, name="mlflow", daemon=True)
        self._thread.start()

    def project(self, document: Mapping[str, Any], sheet: Path | None) -> dict[str, str]:
        """Bring one sweep into MLflow; returns run ids by record id.

        Raises :class:`IncompleteError` where MLflow cannot be reached or fails.
        """
        self._thread.join()
        try:
            if self._error is not None:
                raise self._error
            return self._project(document, sheet)
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
        self._thread.join()
        if self._error is not None:
            raise self._error
        from mlflow.exceptions import MlflowException

        assert self._client is not None
        try:
            tags = self._client.get_run(run_id).data.tags
        except MlflowException as error:
            raise InputError(f"{run_id}: {self.settings.uri} has no such run") from error
        if _PREFIX + "record_id" not in tags:
            raise InputError(f"{run_id}: is no run of one cell; take one of the sweep's children")
        return str(tags[_PREFIX + "record_id"])

    def _open(self) -> None:
        try:
            for name, value in _ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            for noisy in ("alembic", "mlflow.store.db.utils"):
                logging.getLogger(noisy).setLevel(logging.WARNING)
            from mlflow.tracking import MlflowClient

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
        """First openings of one database collide: its schema is created by one at a time."""
        if self.settings.artifacts is None:
            yield
            return
        with (self.settings.artifacts.parent / ".mlflow.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _project(self, document: Mapping[str, Any], sheet: Path | None) -> dict[str, str]:
        client = self._client
        assert client is not None
        runs = self._known_runs(document["sweep_id"])
        parent = self._begin(runs.get(""), _sweep_name(document), _sweep_tags(document))
        ids = {}
        for cell in document["cells"]:
            tags = {
                **_cell_tags(document, cell),
                "mlflow.parentRunId": parent.info.run_id,
            }
            run = self._begin(runs.get(cell["record_id"]), _cell_name(cell), tags)
            self._complete(run, cell)
            ids[cell["record_id"]] = run.info.run_id
        if sheet is not None and self.settings.images != "none" and not _is_done(runs.get("")):
            client.log_artifact(parent.info.run_id, str(sheet))
        counts = {f"cells_{k}": float(v) for k, v in document["counts"].items()}
        self._log_new_metrics(parent, {**counts, "wall_s": document["wall_s"]})
        client.set_terminated(parent.info.run_id, "FINISHED")
        return ids

    def _known_runs(self, sweep_id: str) -> dict[str, Run]:
        """Runs of this sweep by record id; the parent's is empty."""
        assert self._client is not None
        found: dict[str, Run] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.`{_PREFIX}sweep_id` = '{sweep_id}'",
                max_results=1000,
                page_token=token,
            )
            for run in page:
                found.setdefault(run.data.tags.get(_PREFIX + "record_id", ""), run)
            token = page.token
            if not token:
                return found

    def _begin(self, run: Run | None, name: str, tags: Mapping[str, str]) -> Run:
        assert self._client is not None
        if run is not None:
            return run
        return self._client.create_run(self._experiment, tags=dict(tags), run_name=name)

    def _complete(self, run: Run, cell: Mapping[str, Any]) -> None:
        """What a run still lacks; a finished one only gets figures that are new."""
        from mlflow.entities import Param

        assert self._client is not None
        run_id = run.info.run_id
        if not _is_done(run):
            parameters = [
                Param(k, _parameter(v))
                for k, v in cell["parameters"].items()
                if k not in run.data.params
            ]
            self._client.log_batch(run_id, params=parameters)
            self._log_datasets(run, cell)
            self._log_files(run_id, cell)
        self._log_new_metrics(run, _cell_metrics(cell))
        status = "FAILED" if cell["status"] == "failed" else "FINISHED"
        self._client.set_terminated(run_id, status)

    def _log_new_metrics(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Logging appends: a figure that is there is left alone."""
        from mlflow.entities import Metric

        assert self._client is not None
        stamp = run.info.start_time
        new = [
            Metric(k, v, stamp, 0)
            for k, v in metrics.items()
            if k not in run.data.metrics and math.isfinite(v)
        ]
        if new:
            self._client.log_batch(run.info.run_id, metrics=new)

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


def _is_tracking_failure(error: Exception) -> bool:
    """MLflow's own, or the network's or the database's; anything else is our bug."""
    modules = ("mlflow", "requests", "urllib3", "sqlalchemy", "sqlite3")
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in modules


def _is_done(run: Run | None) -> bool:
    return run is not None and run.info.status == "FINISHED"


def _sweep_name(document: Mapping[str, Any]) -> str:
    models = dict.fromkeys(cell["parameters"]["model"] for cell in document["cells"])
    return f"sweep {'+'.join(models)} {document['sweep_id'][:8]}"


def _sweep_tags(document: Mapping[str, Any]) -> dict[str, str]:
    return {
        _PREFIX + "sweep_id": document["sweep_id"],
        _PREFIX + "kind": "sweep",
        _PREFIX + "store": document["store"],
    }


def _cell_name(cell: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={v}" for k, v in cell["axes"].items()) or cell["cell_id"][:8]


def _cell_tags(document: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, str]:
    tags = {
        "sweep_id": document["sweep_id"],
        "kind": "cell",
        "cell_id": cell["cell_id"],
        "record_id": cell["record_id"],
    }
    for kind in ("models", "adapters", "prompt_sets"):
        for name, value in cell["provenance"][kind].items():
            about = value if isinstance(value, str) else value["digest"]
            tags[f"{kind}.{name}"] = about
            if not isinstance(value, str):
                tags[f"license.{name}"] = value["license"]
    if cell["error"]:
        tags["error"] = cell["error"]
    return {_PREFIX + name: value for name, value in tags.items()}


def _cell_metrics(cell: Mapping[str, Any]) -> dict[str, float]:
    """Flat names that MLflow accepts; figures without a value are left out."""
    metrics: dict[str, float] = {}
    for name, figure in cell["metrics"].items():
        if figure["value"] is None:
            continue
        metrics[name] = float(figure["value"])
        if figure["ci95"] is not None:
            metrics[f"{name}.ci95_low"], metrics[f"{name}.ci95_high"] = map(float, figure["ci95"])
    if cell["latency_s"] is not None:
        metrics |= {f"latency_{k}_s": cell["latency_s"][k] for k in ("mean", "p50", "p90")}
        metrics["images_per_s"] = cell["throughput_images_per_s"]
    return metrics


def _parameter(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _MAX_PARAMETER else text[: _MAX_PARAMETER - 1] + "…"


__all__: Sequence[str] = ["Tracker", "TrackingSettings"]
