"""The documents of ``upgrade`` and ``bisect``."""

from __future__ import annotations

from dataclasses import replace

from tests.upgrade.reports import bisection


def test_exit_codes_of_a_bisection() -> None:
    found = bisection()
    narrow = replace(found.changes[0], skipped=())
    assert found.exit_code == 3  # the change may be in a version that was skipped
    assert replace(found, changes=(narrow,)).exit_code == 0
    assert replace(found, outcome="no change", changes=()).exit_code == 0
    assert replace(found, outcome="untestable", changes=()).exit_code == 4
