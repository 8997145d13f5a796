"""Markdown of gates and sweeps."""

from __future__ import annotations

from dataclasses import replace

from tests.report.gates import awkward_report, check_result, gate_report
from tests.report.results import ENERGY, sweep_result
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.report.html.gate import gate_page
from turbo_lab.report.junit import junit
from turbo_lab.report.markdown import gate_markdown, outcomes_markdown, sweep_markdown
from turbo_lab.report.outcomes import Outcome, Outcomes, gate_outcomes
from turbo_lab.verdict import Verdict


def test_markdown_of_a_gate_is_one_table() -> None:
    lines = gate_markdown(
        gate_report(check_result("regression", (-0.09, -0.05), note="a|b"))
    ).splitlines()
    assert lines[0].endswith("❌ regression")
    row = lines[6].replace("\\|", "")
    assert row.count("|") == 9 and "-0.07 (-0.09 to -0.05)" in row
    assert "3 of 128 images have the baseline's pixels." in lines


def test_every_output_names_the_number_of_pairs_that_would_decide() -> None:
    """Every output has the same remark, before the check's own note."""
    values = gate_report(check_result("inconclusive", (-0.03, 0.01), needed_n=310, note="retried"))
    text = "about 310 pairs instead of 128 would decide; retried"
    assert text in gate_markdown(values) and text in junit(gate_outcomes(values))
    assert text in gate_page(values)


def test_the_best_value_follows_the_direction_of_its_metric() -> None:
    page = sweep_markdown(sweep_result(None)).splitlines()
    lines = page[page.index("") + 3 :]
    assert lines[0].startswith("| steps | guidance | clip_score ↑ | fd/nano-clip ↓ | p50 ms ↓ |")
    first, second, failed, last = lines[2:6]
    assert "**100**" in first and "**10**" in first
    assert "**" not in second
    assert failed == "| 2 | 0 | - | - | - | - |"
    assert "**0.8 ±0.1**" in last and "**6 (1)**" in last
    assert lines[7] == "p50 ms: median of 6 calls, per call of 4 images"
    assert lines[8] == "(1) fd/nano-clip: too few"


def with_energy(sweep: SweepResult) -> SweepResult:
    """Return the sweep with the energy of its first cell, by a counter, and its last, by power."""
    first, *middle, last = sweep.cells
    assert first.timing is not None and last.timing is not None
    counted = replace(first, timing=replace(first.timing, energy=ENERGY))
    estimated = replace(ENERGY, joules_per_image=20.0, ci95=None, method="power")
    by_power = replace(last, timing=replace(last.timing, energy=estimated))
    return replace(sweep, cells=(counted, *middle, by_power))


def test_energy_is_a_column_with_its_interval_and_says_how_it_was_measured() -> None:
    plain = sweep_markdown(sweep_result(None))
    assert "J/image" not in plain
    page = sweep_markdown(with_energy(sweep_result(None)))
    assert "J/image ↓" in page and "**12.3 ±0.45**" in page
    assert "(2) J/image: by mean power times time" in page


def test_markdown_keeps_its_table_whatever_the_text() -> None:
    lines = gate_markdown(awkward_report()).splitlines()
    table = [line for line in lines if line.startswith("| ")][2:6]
    assert len(table) == 4
    for line in table:
        unescaped = line.replace("\\|", "")
        assert unescaped.count("|") == 9, line
    text = gate_markdown(awkward_report())
    assert "<script>" not in text.replace("\\<", "")
    assert any(line.endswith("(-0.40); a \\| b (-0.10).") for line in text.splitlines())


def test_rows_that_did_not_pass_come_first() -> None:
    rows = (Outcome("a", Verdict.PASS, "ok"), Outcome("b|c", Verdict.REGRESSION, "<worse>"))
    lines = outcomes_markdown(Outcomes("golden check", Verdict.REGRESSION, rows)).splitlines()
    assert lines[0] == "## turbo-lab golden check: ❌ regression"
    assert lines[2] == "1 pass, 1 regression."
    assert lines[6:] == [r"| b\|c | ❌ regression | \<worse\> |", "| a | ✅ pass | ok |"]
    empty = outcomes_markdown(Outcomes("golden check", Verdict.UNCOVERED, ()))
    assert "no cases." in empty


def test_names_in_somebody_else_s_sweep_are_not_markup() -> None:
    sweep = sweep_result(None)
    cells = [replace(cell, axes={"<img src=x>|a": 1}) for cell in sweep.cells]
    text = sweep_markdown(replace(sweep, cells=tuple(cells)))
    assert "<img" not in text.replace("\\<", "")
    assert text.splitlines()[4].replace("\\|", "").count("|") == 6
