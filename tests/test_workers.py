"""The units of tests that are shared out to workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers import LONGEST, TOGETHER, position, unit

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [*LONGEST, *TOGETHER])
def test_what_is_listed_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_a_unit_is_a_file_or_a_group() -> None:
    assert unit("tests/store/test_store.py::test_it[a::b]") == "tests/store/test_store.py"
    assert unit("tests/trials/test_faults.py::test_it") == "tests/trials/"
    assert unit("tests/golden/test_lifecycle.py::test_it") == "tests/trials/"
    assert unit("tests/cli/golden/test_check.py::test_it") == "tests/trials/"


def test_long_units_come_first(request: pytest.FixtureRequest) -> None:
    assert position(request.node) == len(LONGEST)
    if hasattr(request.config, "workerinput"):
        places = [position(item) for item in request.session.items]
        assert places == sorted(places)
