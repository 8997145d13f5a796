"""The page of a small sweep, for the tests of its parts."""

from __future__ import annotations

import pytest

from tests.report.sweeps import sweep_with_details
from turbo_lab.report.html.sweep import sweep_report


@pytest.fixture(scope="package")
def sweep_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of four cells, one of which failed."""
    return sweep_report(*sweep_with_details(tmp_path_factory.mktemp("images")))
