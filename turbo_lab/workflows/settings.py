"""What a sweep is told beside its grid: figures, timing, tracking. Checked before any work.

Owns their validation, so that ``plan`` refuses what ``sweep`` would. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.context import MetricContext, metric_details
from turbo_lab.metrics.table import metric_names
from turbo_lab.planning.resolved_sweep import Sweep
from turbo_lab.tracking import TrackingSettings
from turbo_lab.workflows.results import metric_context


def check_settings(sweep: Sweep) -> None:
    """Raise ``InputError``, or ``MissingFilesError`` for a judge, as the sweep itself would."""
    judge(sweep, metric_names(str(sweep.values["metrics"]["names"])))
    timing_rule(sweep.values["timing"])
    TrackingSettings.from_config(sweep.values["tracking"])


def judge(sweep: Sweep, metrics: Sequence[str]) -> MetricContext | None:
    """What ``metrics`` are taken with; what it lacks is an error now, not when all is drawn."""
    if not metrics:
        return None
    found = metric_context(sweep.values, list(sweep.library.prompt_sets.values()))
    cache = DigestCache()
    for name in metrics:
        metric_details(name, found, cache)
    return found


def timing_rule(value: Any) -> str | None:
    """``short`` or ``full``; ``None`` for ``off``."""
    if value in (False, "off", None):  # YAML reads a bare off as false
        return None
    if value not in ("short", "full"):
        raise InputError(f"timing={value}: must be off, short or full")
    return str(value)
