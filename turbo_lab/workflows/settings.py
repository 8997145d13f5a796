"""The metric context of a sweep, checked before any work.

Owns the check that everything the requested metrics need is on this machine, so that
``plan`` refuses what ``sweep`` would. Imports no torch.
"""

from __future__ import annotations

from turbo_lab.identity import DigestCache
from turbo_lab.metrics.context import MetricContext, metric_details
from turbo_lab.planning.random_weights import refuse_random_weights
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.workflows.results import metric_context


def resolve_metric_context(sweep: ResolvedSweep) -> MetricContext | None:
    """Return the inputs that the sweep's metrics share; ``None`` if it measures nothing.

    Raises ``InputError`` or ``MissingFilesError`` for anything that a metric lacks, and for
    models whose images are noise.
    """
    metrics = sweep.options.metrics
    if not metrics.names:
        return None
    refuse_random_weights(sweep, "metrics", "set metrics=none")
    found = metric_context(metrics, list(sweep.library.prompt_sets.values()))
    cache = DigestCache()
    for name in metrics.names:
        metric_details(name, found, cache)
    return found
