"""An upgrade on the terminal."""

from __future__ import annotations

import pytest

from tests.upgrade.reports import report
from turbo_lab.report.text.upgrade import print_upgrade


def test_the_terminal_shows_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    print_upgrade(report())
    shown = capsys.readouterr().out
    assert "httpx      -       0.28.1     needed by another package" in shown
    assert "vae: differs in 1 of 1 cases, by up to 0.0034 (relative); first in 1, a cause in 1" in (
        shown
    )
    assert "ratio 1.200 (95%: 1.100 to 1.300): the candidate is slower" in shown
    assert shown.endswith(
        "The candidate is worse: goldens; the first stage that differs is vae.\n"
        "diffusers==0.43.0: regression\n"
    )
