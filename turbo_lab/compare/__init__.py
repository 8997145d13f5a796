"""Comparison of two pipelines: paired differences, sides, baselines and latency."""

import sys

from turbo_lab import CallablePackage

sys.modules[__name__].__class__ = CallablePackage
