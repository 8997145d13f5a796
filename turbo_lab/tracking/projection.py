"""Tags, parameters and metrics of a sweep in MLflow.

Pure: the result of a sweep comes in, plain values go out. Also owns the digest that tells whether
a projection would add anything.
"""

from __future__ import annotations

import getpass
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turbo_lab.documents.cut_off import CutOffSweep
from turbo_lab.documents.sweep import CellResult, SweepResult, fixed_settings
from turbo_lab.environment import GitState
from turbo_lab.identity import digest
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.store.judgement import Judgement
from turbo_lab.store.record import encode_floats
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.names import (
    MAX_RUN_NAME,
    MAX_TAG,
    cell_name,
    cut,
    safe_key,
    shortened,
    tags,
)
from turbo_lab.untrusted.typed_json import to_plain

# Fields of a cell that a projection writes.
_PROJECTED = (
    "record_id",
    "axes",
    "parameters",
    "provenance",
    "error",
    "metrics",
    "latency_s",
    "throughput_images_per_s",
    "images",
)
_MIB = 2**20
# Settings that every run has as parameters. MLflow's page writes all parameters of a run over its
# images, so any other setting is one only if it is swept or unusual, and a tag otherwise.
_ALWAYS = ("model", "num_inference_steps", "guidance_scale", "resolution", "scheduler")
_OF_THE_DATA_SET = ("prompts", "num_images")
_USUAL: Mapping[str, object] = {
    "lora": "none",
    "seed": 0,
    "seed_mode": "increment",
    "dtype": "float32",
    "pipeline": "stock",
    "batch_size": 16,
    **to_plain(PipelineKeys()),
}
# Settings that name the run of a sweep that varies nothing.
_NAMING = ("num_inference_steps", "guidance_scale", "model")


def content_digest(sweep: SweepResult) -> str:
    """Return the digest of everything that a projection writes.

    Two sweeps with equal digests need only one projection. Durations and the number of reused
    cells belong to one invocation, so they are left out.
    """
    cells = [{name: to_plain(getattr(c, name)) for name in _PROJECTED} for c in sweep.cells]
    failed = [cell.is_failed for cell in sweep.cells]
    # Only where it was measured, so that sweeps of older versions keep their digest.
    energy = [to_plain(c.timing.energy) for c in sweep.cells if c.timing and c.timing.energy]
    written = [sweep.sweep_id, str(sweep.store), cells, failed, *([energy] if energy else [])]
    return digest(encode_floats(written))


@dataclass(frozen=True)
class SweepHead:
    """Properties of a sweep that are known when it begins; they are enough to open its run."""

    sweep_id: str
    """Id of the sweep."""
    store: str
    """Folder of the store."""
    models: tuple[str, ...]
    """Names of the models, each once."""

    @classmethod
    def of(cls, sweep: SweepResult | CutOffSweep) -> SweepHead:
        """Return the head of a sweep that has ended."""
        models = tuple(dict.fromkeys(cell.model for cell in sweep.cells))
        return cls(sweep.sweep_id, str(sweep.store), models)


@dataclass(frozen=True)
class Attachments:
    """Files and texts of the run of a sweep. Each is made only if the run needs it."""

    sheet: Path | None = None
    """Contact sheet; ``None``: there is none."""
    page: Callable[[], str] | None = None
    """Function that returns the report as HTML; ``None``: there is none."""
    describe: Callable[[Mapping[str, str]], str] | None = None
    """Function from the addresses of the cells' runs, by record id, to a description in Markdown;
    ``None``: there is none."""
    best: Mapping[str, str] = field(default_factory=dict)
    """Name of the best cell, by metric."""


NOTHING = Attachments()
"""No attachments, as for a sweep that was cut off."""


def sweep_name(sweep: SweepHead) -> str:
    """Return the name of the parent run: the first characters of its id, and its models."""
    return shortened(f"sweep {sweep.sweep_id[:8]} {'+'.join(sweep.models)}", MAX_RUN_NAME)


def sweep_tags(sweep: SweepHead) -> dict[str, str]:
    """Return the tags with which the parent run is created."""
    own = {"sweep_id": sweep.sweep_id, "kind": "sweep", "store": sweep.store}
    return {**source_tags("sweep"), **tags(own)}


def sweep_counts(sweep: SweepResult | CutOffSweep) -> dict[str, str]:
    """Return the numbers of cells, as tags: as metrics, each would be a chart.

    Those that depend on the previous content of the store are left out.
    """
    counts = sweep.counts
    return tags(
        {
            "cells_requested": counts.requested,
            "cells_distinct": counts.distinct,
            "cells_failed": counts.failed,
        }
    )


def sweep_parameters(sweep: SweepResult, facts: CellFacts) -> dict[str, object]:
    """Return the parameters of the parent run: settings that all cells share, and axes.

    An axis has all of its values, such as ``1, 2, 4``, under the name of its key.
    """
    points = [axes for cell in sweep.cells for axes in (cell.axes, *cell.aliases)]
    axes: dict[str, list[str]] = {}
    for point in points:
        for key, value in point.items():
            axes.setdefault(key, []).append(str(value))
    swept = {key: ", ".join(dict.fromkeys(values)) for key, values in axes.items()}
    shared = {**fixed_settings(sweep.cells), "scheduler": facts.scheduler}
    settings = {key: value for key, value in shared.items() if _is_parameter(key, value)}
    return {**settings, **swept}


def sweep_late_tags(sweep: SweepResult, facts: CellFacts) -> dict[str, str]:
    """Return the tags of the parent run that follow from its cells: environment, source."""
    found = source_tags("sweep", sweep.cells[0].provenance.git)
    del found["mlflow.user"]  # MLflow keeps the one that a run was created with
    return {**found, **environment_tags(facts)}


def judgement_head(judgement: Judgement) -> tuple[dict[str, str], str, int]:
    """Return tags, name and start of the run of a comparison or a gate."""
    own = {
        "kind": judgement.command,
        "judgement_id": judgement.judgement_id,
        "verdict": str(judgement.verdict),
    }
    note = {"mlflow.note.content": cut(judgement.description, MAX_TAG)}
    found = {**source_tags(judgement.command, judgement.git), **tags(own), **note}
    name = f"{judgement.command} {judgement.verdict}: {judgement.name}"
    return found, shortened(name, MAX_RUN_NAME), int(judgement.made_at * 1e3)


def run_name(cell: CellResult) -> str:
    """Return the name of a child run: its values of the keys that vary."""
    if cell.axes:
        return cell_name(cell.axes)
    return cell_name({key: cell.parameters.by_key()[key] for key in _NAMING})


def cell_tags(sweep: SweepHead, cell: CellResult) -> dict[str, str]:
    """Return the tags of a child run: source, ids, weight digests, licences."""
    own = {
        "sweep_id": sweep.sweep_id,
        "kind": "cell",
        "cell_id": cell.cell_id,
        "record_id": cell.record_id,
    }
    made_from = cell.provenance
    for kind, weights in (("models", made_from.models), ("adapters", made_from.adapters)):
        for name, origin in weights.items():
            own[f"{kind}.{name}"] = origin.digest
            own[f"license.{name}"] = origin.license
    for name, value in made_from.prompt_sets.items():
        own[f"prompt_sets.{name}"] = value
    if cell.error:
        own["error"] = cell.error
    return {**source_tags("sweep", made_from.git), **tags(own)}


def source_tags(command: str, git: GitState | None = None) -> dict[str, str]:
    """Return what MLflow's page shows as source, user and version of a run."""
    found = {"mlflow.source.name": f"turbo-lab {command}", "mlflow.source.type": "LOCAL"}
    try:
        found["mlflow.user"] = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        found["mlflow.user"] = "unknown"
    if git is not None:
        found["mlflow.source.git.commit"] = git.commit
        found["mlflow.source.git.dirty"] = str(git.dirty).lower()
    return found


def late_tags(cell: CellResult, facts: CellFacts) -> dict[str, str]:
    """Return the tags that follow from measurements: intervals, flags and warnings.

    An interval is a tag because MLflow draws a chart for each metric.
    """
    parameters = cell_parameters(cell, facts)
    own: dict[str, object] = {
        key: value
        for key, value in cell.parameters.by_key().items()
        if value is not None and key not in {*parameters, *to_plain(PipelineKeys())}
    }
    own["exactness"] = facts.record.exactness
    for name, metric in cell.metrics.items():
        if metric.ci95 is not None:
            own[f"ci95.{name}"] = "{:.6g} to {:.6g}".format(*metric.ci95)
    if cell.latency_s is not None and cell.latency_s.ci95 is not None:
        own["ci95.latency_p50_s"] = "{:.6g} to {:.6g}".format(*cell.latency_s.ci95)
    timing = cell.timing
    if timing is not None:
        if timing.energy is not None and timing.energy.ci95 is not None:
            own["ci95.joules_per_image"] = "{:.6g} to {:.6g}".format(*timing.energy.ci95)
        if timing.warnings:
            own["timing_warnings"] = "; ".join(timing.warnings)
    judged = [image.flagged for image in cell.images if image.flagged is not None]
    if judged:
        own["flagged"] = f"{sum(judged)} of {len(judged)} images"
    return {**tags(own), **environment_tags(facts)}


def environment_tags(facts: CellFacts) -> dict[str, str]:
    """Return versions, device and threads as tags, under their own names."""
    return {key: cut(str(value), MAX_TAG) for key, value in facts.environment.items()}


def cell_parameters(cell: CellResult, facts: CellFacts) -> dict[str, object]:
    """Return the parameters of a child run: axes, main settings, and settings that are unusual.

    The scheduler is the one that really ran.
    """
    found = all_settings(cell, facts)
    return {k: v for k, v in found.items() if k in cell.axes or _is_parameter(k, v)}


def all_settings(cell: CellResult, facts: CellFacts) -> dict[str, object]:
    """Return all settings of a cell under names that MLflow accepts."""
    settings = {**cell.parameters.by_key(), "scheduler": facts.scheduler}
    return {safe_key(key): value for key, value in settings.items()}


def _is_parameter(key: str, value: object) -> bool:
    """Return whether a setting that is not swept is a parameter of a run."""
    if key in _ALWAYS:
        return True
    return value is not None and key not in _OF_THE_DATA_SET and value != _USUAL.get(key)


def cell_metrics(cell: CellResult) -> dict[str, float]:
    """Return the metrics that have a finite value, under flat names that MLflow accepts."""
    metrics = {
        safe_key(name): metric.value
        for name, metric in cell.metrics.items()
        if metric.value is not None
    }
    call, throughput, timing = cell.latency_s, cell.throughput_images_per_s, cell.timing
    if call is not None:
        metrics |= {"latency_mean_s": call.mean, "latency_p50_s": call.p50}
        metrics["latency_p90_s"] = call.p90
    if throughput is not None:
        metrics["images_per_s"] = throughput
    if timing is not None:
        metrics["peak_memory_mib"] = timing.peak_memory_bytes / _MIB
        metrics["first_call_s"] = timing.first_call_s
        for stage, seconds in (timing.stages_s or {}).items():
            metrics[safe_key(f"stage_{stage}_s")] = seconds
        if timing.energy is not None:
            metrics["joules_per_image"] = timing.energy.joules_per_image
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def duration_s(cell: CellResult) -> float | None:
    """Return the time that drawing and timing a cell took, in seconds; ``None``: unknown."""
    if cell.drawn_s is None:
        return None
    timed = None if cell.timing is None else cell.timing.timed_s
    return cell.drawn_s + (timed or 0.0)


def span(cells: Sequence[CellResult]) -> tuple[int | None, int | None]:
    """Return start and end of a run over these cells, in milliseconds; ``None``: unknown.

    The end is the start plus the time that all cells took: between two of them, a sweep may have
    been interrupted for days.
    """
    starts = [cell.drawn_at for cell in cells if cell.drawn_at is not None]
    durations = [seconds for cell in cells if (seconds := duration_s(cell)) is not None]
    if not starts or not durations:
        return None, None
    start = int(min(starts) * 1e3)
    return start, start + int(sum(durations) * 1e3)
