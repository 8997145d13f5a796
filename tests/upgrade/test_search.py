"""The search for a change, on lists whose changes are known."""

from __future__ import annotations

import math
from collections.abc import Collection

import pytest

from turbo_lab.upgrade.search import Change, Outcome, Test, find_change, find_changes


class Places:
    """The test of places with a value each; remembers which places were tested."""

    def __init__(self, values: str, skipped: Collection[int] = (), first: int = 0) -> None:
        self.values, self.skipped, self.first = values, skipped, first
        self.asked: set[int] = set()

    def __call__(self, place: int) -> Outcome:
        self.asked.add(place)
        if place in self.skipped:
            return Outcome.SKIPPED
        same = self.values[place] == self.values[self.first]
        return Outcome.SAME if same else Outcome.CHANGED


@pytest.mark.parametrize("count", [2, 3, 7, 12, 100])
def test_every_change_is_found_in_few_tests(count: int) -> None:
    for change in range(1, count):
        tested = Places("a" * change + "b" * (count - change))
        assert find_change(count, tested) == Change(change - 1, change)
        assert (
            len(tested.asked - {count - 1}) <= math.ceil(math.log2(count - 1)) if count > 2 else 1
        )


def test_twelve_releases_take_four_tests_between_the_ends() -> None:
    most = 0
    for change in range(1, 12):
        tested = Places("a" * change + "b" * (12 - change))
        find_change(12, tested)
        most = max(most, len(tested.asked - {0, 11}))
    assert most == 4


def test_no_change_takes_one_test() -> None:
    tested = Places("aaaaaaa")
    assert find_change(7, tested) is None
    assert tested.asked == {6}


@pytest.mark.parametrize(
    ("skipped", "change"),
    [
        ({3}, Change(2, 4)),  # the change itself: it is in 3 or in 4
        ({2, 3}, Change(1, 4)),
        ({0, 5, 6}, Change(2, 3)),  # the last places stand aside
        ({1, 2, 3, 4, 5}, Change(0, 6)),
    ],
)
def test_places_that_cannot_be_tested_are_stepped_over(skipped: set[int], change: Change) -> None:
    found = find_change(7, Places("aaabbbb", skipped))
    assert found == change
    assert found.is_narrow == (change.first_changed - change.last_same == 1)


def test_nothing_that_can_be_tested_is_no_change() -> None:
    assert find_change(4, Places("abcd", {1, 2, 3})) is None
    assert find_change(1, Places("a")) is None


def test_changes_are_found_one_after_the_other() -> None:
    values = "aabbbcccd"

    def test_from(first: int) -> Test:
        return Places(values, first=first)

    found = [(one.last_same, one.first_changed) for one in find_changes(len(values), test_from)]
    assert found == [(1, 2), (4, 5), (7, 8)]
