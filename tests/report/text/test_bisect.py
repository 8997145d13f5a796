"""A bisection on the terminal."""

from __future__ import annotations

import pytest

from tests.upgrade.reports import bisection
from turbo_lab.report.text.bisect import print_bisect


def test_versions_and_changes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_bisect(bisection())
    shown = capsys.readouterr().out
    assert "0.41.0   skipped   cannot be installed: no wheel" in shown
    assert "a second line" not in shown
    assert "0.40.0 -> 0.42.0: 0 of 2 identical to the bit, first at vae" in shown
    assert "0.41.0: could not be tested, so the change may be there" in shown
    assert "other packages change too: httpx - -> 0.28.1" in shown
    assert shown.endswith("diffusers==0.40.0..0.42.1: changed in 0.42.0 (4 environments ran).\n")
