"""Quality metrics: the table is light, everything that computes imports torch.

A package that adds a metric imports :class:`MetricInfo` from here, and :class:`ScorerProcess` if
another interpreter computes it.
"""

from turbo_lab.metrics.interpreter import ScorerProcess
from turbo_lab.metrics.table import MetricInfo

__all__ = ["MetricInfo", "ScorerProcess"]
