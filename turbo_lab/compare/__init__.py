"""Comparison of two pipelines: paired differences, sides, baselines and latency."""
