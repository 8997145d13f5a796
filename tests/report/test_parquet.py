"""The table of cells as Parquet: typed, and the same values as in the CSV file."""

from __future__ import annotations

import csv
import io
import sys
from typing import Any

import pandas as pd
import pytest

from tests.report.results import sweep_result, with_cell
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.errors import MissingFilesError
from turbo_lab.report.csv import cells_csv
from turbo_lab.report.parquet import cells_parquet


def table(sweep: SweepResult) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(cells_parquet(sweep.cells)))


def test_the_same_columns_and_values_as_csv_with_types() -> None:
    sweep = sweep_result(None)
    frame, text = table(sweep), cells_csv(sweep.cells)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(frame.columns) == list(rows[0])
    assert frame["clip_score"].tolist()[:2] == [float(row["clip_score"]) for row in rows[:2]]
    assert frame["num_inference_steps"].dtype == "int64"
    assert frame["error"][2] == "out of memory" and pd.isna(frame["clip_score"][2])


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1, 2, 4, 8], [1, 2, 4, 8]),
        ([1, 2.5, 4], [1.0, 2.5, 4.0]),
        (["none", 2.5, 4], ["none", "2.5", "4"]),
        ([True, 1, 4], ["True", "1", "4"]),
        ([[1], [2], [3]], ["[1]", "[2]", "[3]"]),
    ],
)
def test_an_axis_has_one_type(values: list[Any], wanted: list[Any]) -> None:
    sweep = sweep_result(None)
    for index, value in enumerate(values):
        sweep = with_cell(sweep, index, axes={"key": value})
    found = table(sweep)["key"].tolist()[: len(wanted)]
    assert [(type(one), one) for one in found] == [(type(one), one) for one in wanted]


def test_without_pyarrow_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingFilesError, match="needs pyarrow; run: pip install pyarrow, or use"):
        cells_parquet(sweep_result(None).cells)
