"""Pipelines as MLflow's logged models, so that its page ranks them over all sweeps.

One model per distinct pipeline: weights, LoRAs, variant, sampling settings, batch size and
environment. MLflow shows one value per model, metric and data set, whichever it meets first, so a
model gets each of them once. MLflow's ids are random; a tag with our digest finds a model again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from turbo_lab.documents.sweep import CellResult
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.names import PREFIX, axis_text, model_name, parameter_text, safe_key, tags
from turbo_lab.tracking.projection import all_settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, LoggedModel, Metric

_PIPELINE = PREFIX + "pipeline"
_TYPE = "text-to-image"
# Metrics that rank pipelines, next to all that measure quality.
_RANKED = ("latency_p50_s", "images_per_s", "peak_memory_mib", "joules_per_image")
# Settings of the data set, not of the pipeline.
_OF_THE_DATA = ("prompts", "num_images", "seed", "seed_mode", "image")
_IN_EVERY_NAME = ("num_inference_steps", "guidance_scale")
_IN_A_NAME = ("lora", "vae", "scheduler", "dtype", "pipeline", "batch_size", "resolution")


class Models:
    """The logged models of one experiment."""

    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment

    def of(self, cell: CellResult, facts: CellFacts, run_id: str) -> LoggedModel:
        """Return the model of a cell's pipeline; it is created if it does not exist.

        ``run_id``: run that a new model is said to come from.
        """
        found = self._find(facts.pipeline_digest)
        if found is not None:
            return found
        parameters = {
            key: parameter_text(value)
            for key, value in {**all_settings(cell, facts), **facts.environment}.items()
            if key not in _OF_THE_DATA and value is not None
        }
        weights = {name: origin.digest for name, origin in cell.provenance.weights.items()}
        parameters |= {safe_key(f"sha256 {name}"): value for name, value in weights.items()}
        created = self._client.create_logged_model(
            self._experiment,
            name=pipeline_name(cell),
            source_run_id=run_id,
            params=parameters,
            tags=tags({"pipeline": facts.pipeline_digest}),
            model_type=_TYPE,
        )
        self._client.finalize_logged_model(created.model_id, "READY")
        return created

    def _find(self, pipeline: str) -> LoggedModel | None:
        query = f"tags.`{_PIPELINE}` = '{pipeline}'"
        order = [{"field_name": "creation_timestamp", "ascending": True}]
        found = self._client.search_logged_models(
            [self._experiment], query, max_results=1, order_by=order
        )
        return found[0] if found else None


def linked(
    points: Iterable[Metric], model: LoggedModel, measured_on: Dataset, quality: Iterable[str]
) -> list[Metric]:
    """Return metrics of a run, those that rank pipelines with the model and its data set.

    A value that the model has on this data set is not repeated. ``quality``: names of metrics of
    the images.
    """
    from mlflow.entities import Metric

    ranked = {*_RANKED, *quality}
    known = {
        one.key
        for one in model.metrics or ()
        if (one.dataset_name, one.dataset_digest) == (measured_on.name, measured_on.digest)
    }
    return [
        Metric(
            point.key,
            point.value,
            point.timestamp,
            point.step,
            model_id=model.model_id,
            dataset_name=measured_on.name,
            dataset_digest=measured_on.digest,
        )
        if point.key in ranked - known
        else point
        for point in points
    ]


def pipeline_name(cell: CellResult) -> str:
    """Return the name of a pipeline: its model, steps and guidance, and what is unusual."""
    settings: Mapping[str, object] = cell.parameters.by_key()
    usual = {"lora": "none", "dtype": "float32", "pipeline": "stock", "batch_size": 16}
    keys = [*_IN_EVERY_NAME, *(key for key in _IN_A_NAME if settings.get(key) is not None)]
    shown = (key for key in keys if str(settings[key]) != str(usual.get(key)))
    return model_name([cell.model, *(axis_text(key, settings[key]) for key in shown)])
