"""The latest figures of a history for dashboards: OpenMetrics, and Bencher's JSON."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping

from turbo_lab.documents.history import HistoryPoint, HistorySeries, HistoryShown

_PREFIX = "turbo_lab_"


def openmetrics(history: HistoryShown) -> str:
    """Return the last point of every series in the OpenMetrics 1.0 text format.

    A figure is a gauge; the ends of its interval are the gauges ``NAME_low`` and ``NAME_high``.
    """
    families: dict[str, list[str]] = {}
    for series in history.series:
        point = series.points[-1]
        for suffix, value in _values(point).items():
            name = _metric_name(series.name, series.unit, suffix)
            families.setdefault(name, []).append(_sample(name, series, point, value))
    lines = []
    for name in sorted(families):
        lines += [f"# TYPE {name} gauge", *families[name]]
    return "\n".join([*lines, "# EOF\n"])


def bencher(history: HistoryShown) -> str:
    """Return the last point of every series in Bencher's metric format (BMF)."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for series in history.series:
        point = series.points[-1]
        measure = {"value": point.value}
        if point.ci95 is not None:
            measure |= {"lower_value": point.ci95[0], "upper_value": point.ci95[1]}
        benchmark = f"{series.subject or 'turbo-lab'} on {series.place}"
        found.setdefault(benchmark, {})[_slug(series.name)] = measure
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _values(point: HistoryPoint) -> Mapping[str, float]:
    if point.ci95 is None:
        return {"": point.value}
    return {"": point.value, "_low": point.ci95[0], "_high": point.ci95[1]}


def _metric_name(name: str, unit: str, suffix: str) -> str:
    words = [_slug(name), {"s": "seconds", "J/image": "joules_per_image"}.get(unit, _slug(unit))]
    return _PREFIX + "_".join(word for word in words if word) + suffix


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _sample(name: str, series: HistorySeries, point: HistoryPoint, value: float) -> str:
    labels = {"subject": series.subject, "place": series.place}
    if point.commit is not None:
        labels["commit"] = point.commit
    text = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
    seconds = datetime.datetime.fromisoformat(point.date).timestamp()
    return f"{name}{{{text}}} {value!r} {seconds:.3f}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
