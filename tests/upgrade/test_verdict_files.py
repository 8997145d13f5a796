"""Files of an upgrade's verdict."""

from __future__ import annotations

import json
from pathlib import Path

from tests.upgrade.reports import bisection, report
from turbo_lab.documents.document import read_document
from turbo_lab.documents.upgrade import BisectReport, UpgradeReport
from turbo_lab.upgrade.verdict_files import write_bisection, write_verdict


def test_the_document_can_be_read_back_and_the_page_is_next_to_it(tmp_path: Path) -> None:
    page = write_verdict(report(), tmp_path / "new")
    assert page.read_text().startswith("<!doctype html>")
    values = json.loads((tmp_path / "new" / "verdict.json").read_text())
    assert read_document(UpgradeReport, "upgrade", values, "verdict.json") == report()


def test_a_bisection_is_written_in_the_same_way(tmp_path: Path) -> None:
    page = write_bisection(bisection(), tmp_path)
    assert page.name == "index.html"
    values = json.loads((tmp_path / "bisect.json").read_text())
    assert read_document(BisectReport, "bisect", values, "bisect.json") == bisection()
