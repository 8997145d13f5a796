"""Search for the place in an ordered list at which something changed.

Pure: the test of a place is given. A place that cannot be tested is stepped over, and what that
leaves open is part of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Outcome of the test of one place."""

    SAME = "same"
    """As the first place."""
    CHANGED = "changed"
    """Not as the first place."""
    SKIPPED = "skipped"
    """It cannot be tested."""


@dataclass(frozen=True)
class Change:
    """A change between two places."""

    last_same: int
    """Last place that is as the first one."""
    first_changed: int
    """First place that is not, of those that can be tested."""

    @property
    def is_narrow(self) -> bool:
        """``True`` if no place is between the two."""
        return self.first_changed == self.last_same + 1


Test = Callable[[int], Outcome]
"""Tests one place. The first place is the same by definition."""


def find_change(count: int, test: Test, first: int = 0) -> Change | None:
    """Return where the test changes between ``first`` and the last place; ``None``: nowhere.

    The last place that can be tested stands for the last one. Each step tests the middle of what
    is left, or the nearest place to it that can be tested, so that ``n`` places take about
    ``log2(n)`` tests.
    """
    last = next((at for at in range(count - 1, first, -1) if test(at) != Outcome.SKIPPED), None)
    if last is None or test(last) == Outcome.SAME:
        return None
    low, high = first, last
    while (middle := _nearest(low, high, test)) is not None:
        if test(middle) == Outcome.SAME:
            low = middle
        else:
            high = middle
    return Change(low, high)


def find_changes(count: int, test_from: Callable[[int], Test], first: int = 0) -> Iterator[Change]:
    """Yield every change from ``first`` on, one after the other.

    ``test_from``: returns the test against a place. The search goes on from the first place that
    changed.
    """
    while (found := find_change(count, test_from(first), first)) is not None:
        yield found
        first = found.first_changed


def _nearest(low: int, high: int, test: Test) -> int | None:
    """Return the testable place nearest to the middle between two; ``None``: there is none."""
    middle = (low + high) // 2
    between = sorted(range(low + 1, high), key=lambda at: (abs(at - middle), at))
    return next((at for at in between if test(at) != Outcome.SKIPPED), None)
