"""Sentences that the terminal, the pages and Markdown share, so that they say the same."""

from __future__ import annotations

from turbo_lab.documents.sweep import SweepResult
from turbo_lab.progress import duration

# A shorter part of a sweep is not named; its time is in the rest.
_SHORTEST_S = 0.05


def time_taken(sweep: SweepResult) -> str:
    """Return how long a sweep took, and the parts that add up to it."""
    parts = {
        "loading": sweep.load_s,
        "drawing": sweep.wall_s,
        "timing": sweep.timing_s,
        "metrics": sweep.metrics_s,
        "tracking": sweep.tracking_s,
    }
    known = {name: seconds for name, seconds in parts.items() if seconds >= _SHORTEST_S}
    total_s = sum(parts.values()) if sweep.total_s is None else sweep.total_s
    rest_s = total_s - sum(known.values())
    if rest_s >= _SHORTEST_S:
        known["other"] = rest_s
    shown = ", ".join(f"{duration(seconds)} {name}" for name, seconds in known.items())
    return f"took {duration(total_s)}: {shown}" if len(known) > 1 else f"took {duration(total_s)}"
