"""How pytest-xdist shares the tests out: by file, long files first.

Files that record or compare goldens are one unit, since the goldens they share are
drawn once per worker.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

# A unit is a file, or a prefix of several. A long unit that starts last keeps one worker busy while
# the others have ended. CPU seconds of these, with the slow tests: 180, 100, 90, 45, 45.
LONGEST = (
    "tests/execute/test_kills.py",
    "tests/runtime/test_variants.py",
    "tests/cli/test_gate.py",
    "tests/trials/",
    "tests/test_pytest_plugin.py",
)
TOGETHER = dict.fromkeys(
    (
        "tests/golden/test_check.py",
        "tests/golden/test_lifecycle.py",
        "tests/golden/test_run_case.py",
        "tests/cli/golden/",
        "tests/gate/test_golden_checks.py",
    ),
    "tests/trials/",
)


def unit(nodeid: str) -> str:
    """Return what the test is shared out with: its file, or a group of files."""
    file = nodeid.split("::", 1)[0]
    group = next((group for name, group in TOGETHER.items() if file.startswith(name)), file)
    return next((name for name in LONGEST if file.startswith(name)), group)


def position(item: pytest.Item) -> int:
    """Return the place of a test's unit in the queue; short units keep their order."""
    name = unit(item.nodeid)
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


class Schedule(LoadFileScheduling):
    """One worker per unit of tests."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)
