"""The page about an upgrade."""

from __future__ import annotations

from dataclasses import replace

from tests.upgrade.reports import bisection, report
from turbo_lab.report.html.upgrade import bisect_page, upgrade_page


def test_the_page_shows_packages_checks_stages_and_cases() -> None:
    page = upgrade_page(report())
    for text in ("diffusers", "0.43.0", "needed by another package", "clip_score", "1 of 1"):
        assert text in page
    assert "the candidate is slower" in page
    assert "apple&lt;1&gt;" in page and "apple<1>" not in page
    assert "from peft-1.0.whl" in page


def test_sections_without_content_are_left_out() -> None:
    page = upgrade_page(replace(report(), cases=(), stages=(), timing=None))
    assert "Golden cases" not in page
    assert "Stages" not in page


def test_the_page_of_a_bisection_shows_versions_and_changes() -> None:
    page = bisect_page(bisection())
    for text in ("0.40.0 to 0.42.0", "skipped", "diffusers 0.42.0", "a second line"):
        assert text in page
