"""Tables as CSV: what is written is read back by another reader, value by value."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.report.results import sweep_result, with_cell
from turbo_lab.report.csv import cells_csv, images_csv


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_per_cell_with_values_in_full_precision() -> None:
    sweep = sweep_result(None)
    cell = sweep.cells[0]
    value = replace(cell.metrics["clip_score"], value=0.1 + 0.2)
    sweep = with_cell(sweep, 0, metrics={**cell.metrics, "clip_score": value})
    found = rows(cells_csv(sweep.cells))
    assert [row["status"] for row in found] == ["done", "done", "failed", "done"]
    first, failed = found[0], found[2]
    assert float(first["clip_score"]) == 0.1 + 0.2
    assert (first["clip_score ci95 low"], first["clip_score ci95 high"]) == ("0.4", "0.6")
    assert (first["fd/nano-clip"], first["fd/nano-clip ci95 low"]) == ("9.0", "")
    assert (first["latency_p50_s"], first["peak_memory_bytes"]) == ("0.1", "1")
    assert (failed["error"], failed["clip_score"], failed["latency_p50_s"]) == (
        "out of memory",
        "",
        "",
    )


def test_axes_come_first_and_ids_last_whatever_the_first_row_has() -> None:
    sweep = sweep_result(None)
    header = cells_csv((sweep.cells[2], sweep.cells[0])).splitlines()[0].split(",")
    assert header[:3] == ["num_inference_steps", "guidance_scale", "status"]
    assert header[-2:] == ["cell_id", "record_id"]


def test_points_that_are_one_cell_have_a_row_each() -> None:
    other = {"num_inference_steps": 1, "guidance_scale": 1}
    sweep = with_cell(sweep_result(None), 0, aliases=(other,))
    found = rows(cells_csv(sweep.cells, {"a0": "images/x"}))
    assert [row["guidance_scale"] for row in found[:2]] == ["0", "1"]
    assert [row["folder"] for row in found[:3]] == ["images/x", "images/x", ""]


def test_any_prompt_survives(tmp_path: Path) -> None:
    sweep = sweep_result(tmp_path)
    text = 'a "quoted", text;\twith\nlines\r and =SUM(A1) 漢🙂'
    image = replace(sweep.cells[0].images[0], prompt=text)
    written = images_csv([("images/0.png", sweep.cells[0], image)])
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    assert (row["prompt"], row["file"], row["seed"]) == (text, "images/0.png", "0")
    assert pd.read_csv(io.StringIO(written))["prompt"][0] == text


def test_a_sweep_without_images_has_no_rows() -> None:
    assert images_csv([]) == "\n"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("@SUM(1)", "'@SUM(1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("a = b", "a = b"),
        ("-0.5", "-0.5"),
    ],
)
def test_no_text_is_a_formula(text: str, field: str) -> None:
    cell = replace(sweep_result(None).cells[0], axes={text: text, "seed": -1})
    names, values = list(csv.reader(io.StringIO(cells_csv([cell]), newline="")))
    assert (names[0], values[0], values[1]) == (field, field, "-1")
