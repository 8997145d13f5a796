"""The filter of a sweep's page, in a real browser: one filter for everything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.report.pages import in_page
from tests.report.sweeps import sweep_with_details
from turbo_lab.report.html.controls import filter_form
from turbo_lab.report.html.sweep import sweep_page

STATE = """
const tiles = () => all(".lane:not(.heads)").reduce((sum, lane) => sum + lane.images.length, 0);
const shown = (q) => all(q).filter((e) => getComputedStyle(e).display !== "none").length;
const state = () => [shown("#cells tr"), shown("#tradeoff .point"), shown("#tradeoff text.name"),
  shown(".strip"), shown("#scaling .joined"), tiles(), $("#filter output").textContent];
$("select[name=tabs]").value = "none";
$("select[name=tabs]").dispatchEvent(new Event("change", {bubbles: true}));
"""


def test_one_filter_hides_rows_points_labels_lines_strips_and_tiles(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
        STATE
        + """
        found.before = state();
        input($("#filter input"), "steps=1");
        found.words = state();
        input($("#filter select[name='axis:1']"), "1");
        found.both = state();
        $("#filter [type=reset]").click();
        await new Promise((done) => setTimeout(done));
        found.cleared = state();
        """,
    )
    rows, points, names, strips, lines, tiles, text = found["before"]
    assert found["cleared"] == found["before"]
    assert (rows, points, strips, tiles, text) == (4, 6, 3, 12, "4 cells, 12 images")
    assert names >= 1 and lines > 3
    assert found["words"][:2] == [2, 4] and found["words"][3] == 2
    assert found["words"][5:] == [8, "2 of 4 cells, 8 of 12 images"]
    assert found["both"] == [1, 2, found["both"][2], 1, found["both"][4], 4, found["both"][6]]
    assert found["both"][2] <= 1 and found["both"][4] < found["words"][4] < lines


def test_a_prompt_hides_tiles_and_rows_of_prompts(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
        STATE
        + """
        input($("#filter input"), "p <2>");
        found.state = [tiles(), all(".lane:not(.heads)").map((l) => l.ariaLabel),
          all("table.prompts tbody tr:not(.out)").map((r) => r.cells[0].textContent)];
        input($("#filter input"), "no such prompt");
        found.none = [$("#grid").textContent, all("#cells tr:not(.out)").length];
        """,
    )
    assert found["state"] == [3, ["p <2>"], ["p <2>"]]
    assert found["none"] == ["No image passes the filter.", 0]


def test_ranges_of_a_metric_of_cells_and_of_images(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
        STATE
        + """
        const range = (metric, low, high) => {
          $("#filter [name=metric]").value = metric;
          $("#filter [name=low]").value = low;
          input($("#filter [name=high]"), high);
          return [all("#cells tr:not(.out)").length, tiles()];
        };
        // clip_score of the cells: 0.5, 0.6 and 0.8; of their images: 0.5, 0.6, 0.7 and 0.1 * cell.
        found.cells = range("c0", "0.55", "");
        found.images = range("i0", "0.65", "0.75");
        found.open = range("i0", "", "");
        """,
    )
    assert found == {"cells": [2, 8], "images": [3, 3], "open": [4, 12]}


def test_an_axis_with_many_values_has_no_list(tmp_path: Path) -> None:
    data = sweep_page_data(tmp_path)
    (first, *rest) = data.axes
    many = replace(first, values=tuple(map(str, range(13))))
    assert 'name="axis:0"' in filter_form(data)
    assert 'name="axis:0"' not in filter_form(replace(data, axes=(many, *rest)))


def sweep_page_data(folder: Path):  # type: ignore[no-untyped-def]
    return sweep_page(*sweep_with_details(folder)).data
