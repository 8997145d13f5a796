"""Write the result of an upgrade or a bisection to its folder: the document and the page."""

from __future__ import annotations

import json
from pathlib import Path

from turbo_lab.documents.document import to_document
from turbo_lab.documents.output import write_text
from turbo_lab.documents.upgrade import BisectReport, UpgradeReport


def write_verdict(report: UpgradeReport, folder: Path) -> Path:
    """Write ``verdict.json`` and ``index.html`` into a folder; return the page."""
    from turbo_lab.report.html.upgrade import upgrade_page

    return _write("upgrade", report, upgrade_page(report), folder / "verdict.json")


def write_bisection(report: BisectReport, folder: Path) -> Path:
    """Write ``bisect.json`` and ``index.html`` into a folder; return the page."""
    from turbo_lab.report.html.upgrade import bisect_page

    return _write("bisect", report, bisect_page(report), folder / "bisect.json")


def _write(kind: str, report: object, page: str, document: Path) -> Path:
    text = json.dumps(to_document(kind, report), indent=1, ensure_ascii=False)
    write_text(document, text + "\n", "--output")
    path = document.with_name("index.html")
    write_text(path, page, "--output")
    return path
