"""From measured figures to a verdict: the rules of the table, and nothing else.

Owns no measurement: pure functions of figures and their intervals. A claim with a
number is judged by where the interval lies, a claim of sameness by counting, and
neither rule knows which answer is expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Verdict = Literal["holds", "does not hold here", "not decided", "not tested here"]
Interval = tuple[float, float]

HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold here"
OPEN: Verdict = "not decided"
UNTESTED: Verdict = "not tested here"

MARGIN = 0.02
"""CLIP score (cosine) within which two settings are as good as each other; the gate's own."""
CHANCE_MARGIN = 0.05
"""How far above chance a recall may lie and still be called chance."""


def at_least(interval: Interval | None, value: float) -> Verdict:
    """``figure >= value``: wholly at or above holds, wholly below does not, else not decided.

    No interval, or one with an end that is not a number, decides nothing.
    """
    if interval is None or any(math.isnan(end) for end in interval):
        return OPEN
    low, high = interval
    return HOLDS if low >= value else FAILS if high < value else OPEN


def at_most(interval: Interval | None, value: float) -> Verdict:
    """``figure <= value``, the mirror of :func:`at_least`."""
    return at_least(None if interval is None else (-interval[1], -interval[0]), -value)


def more_than(interval: Interval | None, value: float) -> Verdict:
    """``figure > value``, strictly: no difference at all is no gain."""
    if interval is None or any(math.isnan(end) for end in interval):
        return OPEN
    low, high = interval
    return HOLDS if low > value else FAILS if high <= value else OPEN


def every(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim of all: one that does not hold is enough against it."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if verdicts and set(verdicts) == {HOLDS} else OPEN


def some(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim of at least one: one that holds is enough for it."""
    if HOLDS in verdicts:
        return HOLDS
    return FAILS if verdicts and set(verdicts) == {FAILS} else OPEN


def exactly(count: int, total: int) -> Verdict:
    """A claim of sameness to the bit, or of presence: all ``total`` of them, at least one."""
    if total == 0:
        return OPEN
    return HOLDS if count == total else FAILS


def all_below(figures: Sequence[float], others: Sequence[float]) -> Verdict:
    """Every figure below every other holds; none below any does not.

    With three on either side equal sources are called different once in twenty times.
    """
    if not figures or not others:
        return OPEN
    if max(figures) < min(others):
        return HOLDS
    return FAILS if min(figures) >= max(others) else OPEN
