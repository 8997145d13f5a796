"""One pipeline against another: paired differences, sides, baselines and latency."""
