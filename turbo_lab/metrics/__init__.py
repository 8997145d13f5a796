"""Quality metrics: the table is light, everything that computes imports torch.

What a package with a metric of its own imports is here: :class:`MetricInfo`.
"""

from turbo_lab.metrics.table import MetricInfo

__all__ = ["MetricInfo"]
