"""Histories for tests: entries with one figure each."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from turbo_lab.documents.history import Figure, HistoryEntry
from turbo_lab.documents.occasion import Occasion
from turbo_lab.environment import GitState
from turbo_lab.verdict import Direction, Verdict

START = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


def occasion(day: int = 0, **changes: Any) -> Occasion:
    """Return an occasion, ``day`` days after :data:`START`, at a commit of that day.

    ``changes``: keys of the environment.
    """
    keys = {"device_class": "cpu x86-64", "device_model": "model 1", "torch": "2.11.0"}
    return Occasion(
        date=(START + datetime.timedelta(days=day)).isoformat(),
        git=GitState(f"{day + 1:040x}"[::-1], dirty=False),
        command=("num_images=1",),
        keys={**keys, **changes},
        options={"host": "pool a"},
    )


def figure(value: float, **changes: Any) -> Figure:
    """Return a latency, in seconds."""
    values = {
        "name": "latency",
        "subject": "num_images=1",
        "ci95": (value * 0.98, value * 1.02),
        "unit": "s",
        "direction": Direction.LOWER,
        "is_timed": True,
    }
    return Figure(value=value, **(values | changes))


def entry(day: int, value: float, **changes: Any) -> HistoryEntry:
    """Return an entry with one latency."""
    return HistoryEntry("bench", Verdict.PASS, occasion(day), (figure(value, **changes),))


def entries(values: Iterable[float], **changes: Any) -> list[HistoryEntry]:
    """Return one entry per day with these latencies."""
    return [entry(day, value, **changes) for day, value in enumerate(values)]


def stepped(size: float = 1.2, num: int = 40) -> list[float]:
    """Return latencies that grow by a factor after three quarters, with a little noise."""
    noise = [1 + 0.004 * ((7 * i) % 11 - 5) for i in range(num)]
    return [0.05 * one * (size if i >= num * 3 // 4 else 1) for i, one in enumerate(noise)]
