"""Tables for notebooks: the report's, escaped, without what needs a script."""

from __future__ import annotations

from dataclasses import replace

from turbo_lab.api.tables import checks_html, plain_html, sweep_html
from turbo_lab.documents.gate import CheckResult
from turbo_lab.verdict import Verdict
from turbo_lab.workflows.results import sweep_result
from turbo_lab.workflows.sweep import Executed

HOSTILE = "<script>alert(1)</script>"


def test_a_sweep_has_its_metrics_and_no_controls(executed: Executed) -> None:
    cells = sweep_result(executed).cells
    failed = [replace(cell, error=HOSTILE) if cell.is_failed else cell for cell in cells]
    shown = sweep_html(HOSTILE, failed)
    assert "clip_score" in shown and "p50 ms" in shown and shown.count("<tr") == 1 + len(cells)
    assert shown.count("&lt;script&gt;alert(1)") == 2
    for control in ("<script", "<button", "<form", "<input"):
        assert control not in shown


def test_checks_have_verdict_interval_and_note() -> None:
    check = CheckResult(
        name=HOSTILE,
        verdict=Verdict.INCONCLUSIVE,
        value=0.25,
        baseline=0.26,
        difference=-0.01,
        ci95=(-0.03, 0.01),
        margin=0.02,
        n=8,
        needed_n=20,
    )
    shown = checks_html("gate <x>", [check])
    assert "<script" not in shown and "gate &lt;x&gt;" in shown
    assert "-0.01 (-0.03 to +0.01)" in shown and "about 20 pairs instead of 8" in shown


def test_plain_tables_are_escaped() -> None:
    shown = plain_html("t", ["h"], [[HOSTILE]])
    assert "<script" not in shown and "&lt;script&gt;" in shown
