"""Names, tags, parameters and metrics of a sweep in MLflow.

Pure: the result of a sweep comes in, plain values go out. Also owns the digest that tells whether
a projection would add anything.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from turbo_lab.documents.cut_off import CutOffSweep
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.identity import digest
from turbo_lab.store.record import encode_floats
from turbo_lab.untrusted.typed_json import to_plain

PREFIX = "turbo_lab."
# MLflow cuts longer parameters silently.
MAX_PARAMETER = 6000
# Older servers refuse longer tags.
MAX_TAG = 5000
# Room is left for a suffix such as ``.ci95_high``: MLflow refuses keys above 250 characters.
MAX_KEY = 230
MAX_RUN_NAME = 250
MAX_DATASET_NAME = 500
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


def sweep_name(sweep: SweepHead) -> str:
    """Return the name of the parent run: its models and the first characters of its id."""
    return shortened(f"sweep {'+'.join(sweep.models)} {sweep.sweep_id[:8]}", MAX_RUN_NAME)


def sweep_tags(sweep: SweepHead) -> dict[str, str]:
    """Return the tags of the parent run."""
    return {
        PREFIX + "sweep_id": sweep.sweep_id,
        PREFIX + "kind": "sweep",
        PREFIX + "store": sweep.store,
    }


def cell_name(cell: CellResult) -> str:
    """Return the name of a child run: its values of the keys that vary."""
    name = " ".join(f"{k}={v}" for k, v in cell.axes.items()) or cell.cell_id[:8]
    return shortened(name, MAX_RUN_NAME)


def cell_tags(sweep: SweepHead, cell: CellResult) -> dict[str, str]:
    """Return the tags of a child run: ids, weight digests, licences."""
    tags = {
        "sweep_id": sweep.sweep_id,
        "kind": "cell",
        "cell_id": cell.cell_id,
        "record_id": cell.record_id,
    }
    made_from = cell.provenance
    for kind, weights in (("models", made_from.models), ("adapters", made_from.adapters)):
        for name, origin in weights.items():
            tags[f"{kind}.{name}"] = origin.digest
            tags[f"license.{name}"] = origin.license
    for name, value in made_from.prompt_sets.items():
        tags[f"prompt_sets.{name}"] = value
    judged = [image.flagged for image in cell.images if image.flagged is not None]
    if judged:
        tags["flagged"] = f"{sum(judged)} of {len(judged)} images"
    if cell.error:
        tags["error"] = cell.error
    return {safe_key(PREFIX + name): _cut(value, MAX_TAG) for name, value in tags.items()}


def cell_metrics(cell: CellResult) -> dict[str, float]:
    """Return the metrics that have a value, under flat names that MLflow accepts."""
    metrics: dict[str, float] = {}
    for name, metric in cell.metrics.items():
        if metric.value is None:
            continue
        key = safe_key(name)
        metrics[key] = metric.value
        if metric.ci95 is not None:
            metrics[f"{key}.ci95_low"], metrics[f"{key}.ci95_high"] = metric.ci95
    call, throughput = cell.latency_s, cell.throughput_images_per_s
    if call is not None:
        metrics |= {"latency_mean_s": call.mean, "latency_p50_s": call.p50}
        metrics["latency_p90_s"] = call.p90
    if throughput is not None:
        metrics["images_per_s"] = throughput
    energy = None if cell.timing is None else cell.timing.energy
    if energy is not None:
        metrics["joules_per_image"] = energy.joules_per_image
        if energy.ci95 is not None:
            low, high = energy.ci95
            metrics |= {"joules_per_image.ci95_low": low, "joules_per_image.ci95_high": high}
    return metrics


def parameter_text(value: object) -> str:
    """Return a parameter as MLflow can store it; an ellipsis ends a text that was cut."""
    return _cut("none" if value is None else str(value), MAX_PARAMETER)


def safe_key(name: str) -> str:
    """Return the name of a metric, parameter or tag as MLflow accepts it.

    MLflow accepts letters, digits, ``_ - . : /`` and spaces, in a normalised relative path. In
    any other name, ``_`` replaces the rest and eight digits of the digest follow, so that distinct
    names stay distinct and a name is the same each time.
    """
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    key = "/".join(part for part in parts if part not in ("", ".", ".."))
    if key == name == posixpath.normpath(name) and len(name) <= MAX_KEY:
        return name
    return f"{key[: MAX_KEY - 9]}-{digest(name)[:8]}"


def shortened(name: str, limit: int) -> str:
    """Return a name of at most ``limit`` characters; distinct names stay distinct."""
    return name if len(name) <= limit else f"{name[: limit - 9]}-{digest(name)[:8]}"


def _cut(text: str, limit: int) -> str:
    text = text.replace("\0", "\N{SYMBOL FOR NULL}")  # no database takes it
    return text if len(text) <= limit else text[: limit - 1] + "…"
