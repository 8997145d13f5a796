"""A sweep in Markdown for MLflow's page."""

from __future__ import annotations

from dataclasses import replace

from tests.report.results import cell_result, sweep_result
from turbo_lab.report.description import best_cells, sweep_description
from turbo_lab.tracking.names import MAX_TAG


def test_the_best_cells_are_named_and_linked() -> None:
    sweep = sweep_result(None)
    assert best_cells(sweep.cells)["clip_score"] == "2 steps, cfg 2"
    assert best_cells(sweep.cells)["p50 ms"] == "1 step, cfg 0"
    text = sweep_description(sweep, {"a3": "#/runs/x3"})
    assert "- **Best clip\\_score:** [2 steps, cfg 2](#/runs/x3) (0.8)" in text
    assert "| [2 steps, cfg 2](#/runs/x3) | 2 | 2 |" in text
    assert "| 2 steps, cfg 0 | 2 | 0 |" in text, "a cell without a run has no link"
    assert "All cells: model nano-turbo, prompts demo" in text and "quantization" not in text


def test_one_cell_is_not_the_best() -> None:
    sweep = sweep_result(None)
    alone = replace(sweep, cells=sweep.cells[:1])
    assert best_cells(alone.cells) == {}
    assert "Best" not in sweep_description(alone, {})


def test_a_large_sweep_fits_into_a_tag_with_whole_rows() -> None:
    cells = tuple(cell_result(k, {"seed": k, "lora": "x" * 30}, None) for k in range(300))
    sweep = replace(sweep_result(None), cells=cells)
    links = {cell.record_id: f"#/experiments/1/runs/{'f' * 32}" for cell in cells}
    text = sweep_description(sweep, links)
    assert len(text) <= MAX_TAG
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert 5 < len(rows) < 300 and all(row.endswith("|") for row in rows)
    assert f"{300 - len(rows)} more cells are among the runs of this sweep." in text
