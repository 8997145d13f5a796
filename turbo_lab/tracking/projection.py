"""What a sweep looks like in MLflow: names, tags, parameters and figures.

Pure: rows of a sweep document come in, plain values go out; ``tracking`` hands
them over. Owns what counts as news, too.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turbo_lab.identity import digest
from turbo_lab.store.record import CellStatus, encode_floats

PREFIX = "turbo_lab."
# MLflow cuts longer parameters silently.
MAX_PARAMETER = 6000
# Older servers refuse longer tags.
MAX_TAG = 5000
# Room is left for a suffix such as ``.ci95_high``: MLflow refuses keys above 250 characters.
MAX_KEY = 230
MAX_RUN_NAME = 250
MAX_DATASET_NAME = 500
# What of a cell's row a projection writes.
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


def content_digest(document: Mapping[str, Any]) -> str:
    """Of all that a projection writes: equal ones have nothing new.

    Durations and what was reused are the last invocation's, not the sweep's.
    """
    cells = [{name: cell[name] for name in _PROJECTED} for cell in document["cells"]]
    failed = [cell["status"] == CellStatus.FAILED for cell in document["cells"]]
    return digest(encode_floats([document["sweep_id"], document["store"], cells, failed]))


@dataclass(frozen=True)
class SweepHead:
    """What is known of a sweep when it begins: enough to open its run."""

    sweep_id: str
    """Id of the sweep."""
    store: str
    """Folder of its store."""
    models: tuple[str, ...]
    """Names of its models, each once."""

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> SweepHead:
        """Return the head of a ``sweep`` document."""
        models = dict.fromkeys(cell["parameters"]["model"] for cell in document["cells"])
        return cls(document["sweep_id"], document["store"], tuple(models))


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


def cell_name(cell: Mapping[str, Any]) -> str:
    """What the sweep varies, as written."""
    name = " ".join(f"{k}={v}" for k, v in cell["axes"].items()) or cell["cell_id"][:8]
    return shortened(name, MAX_RUN_NAME)


def cell_tags(sweep: SweepHead, cell: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a child run: ids, weight digests, licences."""
    tags = {
        "sweep_id": sweep.sweep_id,
        "kind": "cell",
        "cell_id": cell["cell_id"],
        "record_id": cell["record_id"],
    }
    for kind in ("models", "adapters"):
        for name, weights in cell["provenance"][kind].items():
            tags[f"{kind}.{name}"] = weights["digest"]
            tags[f"license.{name}"] = weights["license"]
    for name, value in cell["provenance"]["prompt_sets"].items():
        tags[f"prompt_sets.{name}"] = value
    if cell["error"]:
        tags["error"] = cell["error"]
    return {safe_key(PREFIX + name): _cut(value, MAX_TAG) for name, value in tags.items()}


def cell_metrics(cell: Mapping[str, Any]) -> dict[str, float]:
    """Flat names that MLflow accepts; figures without a value are left out."""
    metrics: dict[str, float] = {}
    for name, figure in cell["metrics"].items():
        if figure["value"] is None:
            continue
        key = safe_key(name)
        metrics[key] = float(figure["value"])
        if figure["ci95"] is not None:
            metrics[f"{key}.ci95_low"], metrics[f"{key}.ci95_high"] = map(float, figure["ci95"])
    if cell["latency_s"] is not None:
        metrics |= {f"latency_{k}_s": cell["latency_s"][k] for k in ("mean", "p50", "p90")}
        metrics["images_per_s"] = cell["throughput_images_per_s"]
    return metrics


def parameter_text(value: Any) -> str:
    """A parameter as MLflow can hold it: what is cut says so."""
    return _cut("none" if value is None else str(value), MAX_PARAMETER)


def safe_key(name: str) -> str:
    """Return the name of a metric, parameter or tag as MLflow accepts it.

    MLflow takes letters, digits, ``_ - . : /`` and spaces, in a normal relative path. Any
    other name gets ``_`` for the rest and eight digits of its digest: distinct names stay
    distinct, and a name is the same each time.
    """
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    key = "/".join(part for part in parts if part not in ("", ".", ".."))
    if key == name == posixpath.normpath(name) and len(name) <= MAX_KEY:
        return name
    return f"{key[: MAX_KEY - 9]}-{digest(name)[:8]}"


def shortened(name: str, limit: int) -> str:
    """Return a name of at most ``limit`` characters; distinct ones stay distinct."""
    return name if len(name) <= limit else f"{name[: limit - 9]}-{digest(name)[:8]}"


def _cut(text: str, limit: int) -> str:
    text = text.replace("\0", "\N{SYMBOL FOR NULL}")  # no database takes it
    return text if len(text) <= limit else text[: limit - 1] + "…"
