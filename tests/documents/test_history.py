"""Which series count as worse."""

from __future__ import annotations

from tests.history.entries import entries, stepped
from turbo_lab.documents.history import is_worse
from turbo_lab.history.series import show
from turbo_lab.verdict import Direction


def test_the_last_change_decides() -> None:
    there_and_back = [*stepped(1.2), *stepped(1.0)]
    (back,) = show(entries(there_and_back)).series
    assert [change.is_worse for change in back.changes] == [True, False]
    assert not is_worse(back)
    shown = show(entries(stepped(1.2)))
    assert is_worse(shown.series[0]) and shown.worse == 1
    neutral = show(entries(stepped(1.2), direction=Direction.NONE))
    assert neutral.series[0].changes and neutral.worse == 0
