"""Table of prompts: means over the cells, the hardest first."""

from __future__ import annotations

import re
from pathlib import Path

from tests.report.sweeps import sweep_with_details
from turbo_lab.report.columns import columns, varying_axes
from turbo_lab.report.html.prompts import Scores, prompt_table


def test_the_hardest_prompt_is_first_with_its_worst_and_best_cell(tmp_path: Path) -> None:
    sweep, shown = sweep_with_details(tmp_path)
    score = columns(sweep.cells)[0]
    table = prompt_table(sweep.cells, varying_axes(sweep.cells), Scores(shown.details, score))
    assert table is not None
    rows = [
        re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", table)
    ]
    # The fourth image of cell i scores 0.1 * i: cells 0, 1 and 3 were drawn.
    assert rows[0][:3] == ["p &lt;3&gt;", "0.133", "0.000"]
    assert rows[0][3] == "steps 1 · guidance 0" and rows[0][4:] == [
        "0.300",
        "steps 2 · guidance 2",
        "0.300",
    ]
    assert len(rows) == 4


def test_there_is_no_table_without_values_per_image(tmp_path: Path) -> None:
    sweep, _ = sweep_with_details(tmp_path)
    assert prompt_table(sweep.cells, [], Scores({}, columns(sweep.cells)[0])) is None
