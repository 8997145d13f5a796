"""The files that a verdict is written to."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.gate.conftest import Inputs
from tests.report.gates import check_result, gate_report
from turbo_lab.gate.run import GateResult
from turbo_lab.gate.verdict_files import write_verdict
from turbo_lab.verdict import Verdict


@pytest.fixture
def gate_result(small_gate: Inputs) -> GateResult:
    """The result of a gate whose sides could not be drawn, so that it has no images."""
    return GateResult(small_gate(), Verdict.ERROR, (), None)


def test_each_file_has_its_form(tmp_path: Path, gate_result: GateResult) -> None:
    report = gate_report(check_result("pass", (0.0, 0.01)), verdict="pass")
    files = {form: tmp_path / form for form in ("junit", "markdown", "comment", "html")}
    write_verdict(files, gate_result, report)
    assert ET.parse(files["junit"]).getroot().tag.startswith("testsuite")
    assert r"clip\_score" in files["markdown"].read_text(encoding="utf-8")
    assert (
        files["comment"].read_text(encoding="utf-8").startswith("<!-- turbo-lab gate release -->")
    )
    assert files["html"].read_text(encoding="utf-8").startswith("<!doctype html>")


def test_no_file_is_written_that_was_not_named(tmp_path: Path, gate_result: GateResult) -> None:
    write_verdict({}, gate_result, gate_report(check_result("pass", (0.0, 0.01))))
    assert list(tmp_path.iterdir()) == []
