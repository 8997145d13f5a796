"""Plots of a sweep's page: the front, the points and the lines, by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.report.results import sweep_result, with_metric
from turbo_lab.report.columns import Column, columns, label, plain_column
from turbo_lab.report.html.plots import front, numeric_axes, scaling, series_by, tradeoff
from turbo_lab.verdict import Direction


def column(values: list, intervals: list, direction: str) -> Column:
    return plain_column("q", "q", Direction(direction), values, intervals=intervals)


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_the_front_needs_separate_intervals(direction: str) -> None:
    latency = column([1, 2, 2.05, 3], [(0.9, 1.1), (1.9, 2.1), (1.95, 2.15), None], "lower")
    sign = 1 if direction == "higher" else -1
    bounds = [(5, 6), (4, 4.5), (5.5, 7), (8, 9)]
    intervals = [tuple(sorted((sign * a, sign * b))) for a, b in bounds]
    values = [sign * (a + b) / 2 for a, b in bounds]
    # The second is slower and worse than the first. The third overlaps the first in quality but
    # is slower. The fourth is better, but its latency is unknown.
    assert front(column(values, intervals, direction), latency) == [0]


def test_the_front_leaves_out_the_worst_whose_interval_is_the_only_one() -> None:
    quality = column([0.9, 0.1], [None, (0.05, 0.15)], "higher")
    latency = column([1.0, 2.0], [(0.9, 1.1), (1.9, 2.1)], "lower")
    assert front(quality, latency) == []


def test_plots_are_well_formed_and_name_their_cells() -> None:
    cells = sweep_result(None).cells
    axes = ["num_inference_steps", "guidance_scale"]
    quality, _, latency, *_ = columns(cells)
    series = series_by(cells, axes)
    drawn = tradeoff([label(row, axes) for row in cells], quality, latency, series)
    assert drawn is not None and series.names == ("steps 1", "steps 2")
    root = ElementTree.fromstring(drawn)
    points = [g for g in root.iter("g") if "point" in g.get("class", "")]
    assert sorted(g.get("data-cell") or "" for g in points) == ["0", "1", "3"]
    titles = [g.get("data-tip") or "" for g in points]
    assert titles == [g.get("aria-label") for g in points]
    assert any("steps 2 · guidance 2: clip_score 0.80" in text for text in titles)


def test_scaling_joins_cells_that_differ_in_nothing_else() -> None:
    cells = sweep_result(None).cells
    axes = ["num_inference_steps", "guidance_scale"]
    assert numeric_axes(cells, axes) == axes
    drawn = scaling(cells, axes, "num_inference_steps", columns(cells)[0])
    assert drawn is not None
    # Guidance 0 has one point, since the other failed; guidance 2 has two.
    lines = re.findall(r'<path d="(M[^"]*)"', drawn)
    assert 'data-cells="1 3"' in drawn, "a filter hides a line with its cells"
    assert sorted(line.count(",") for line in lines) == [1, 2]


def test_sizes_are_plotted_by_their_pixels_and_words_are_not_plotted() -> None:
    cells = sweep_result(None).cells
    sizes = ("64x64", "128x64", "64", "32x32")
    cells = tuple(
        replace(cell, axes={"resolution": size, "lora": "none"})
        for cell, size in zip(cells, sizes, strict=True)
    )
    assert numeric_axes(cells, ["resolution", "lora"]) == ["resolution"]
    drawn = scaling(cells, ["resolution"], "resolution", columns(cells)[0])
    assert drawn is not None and ">8192<" in drawn


def test_many_lines_show_their_median() -> None:
    template = sweep_result(None).cells[0]
    cells = [
        replace(
            with_metric(template, "clip_score", value=float(style + steps)),
            axes={"num_inference_steps": steps, "lora": f"style-{style}"},
        )
        for style in range(13)
        for steps in (1, 2)
    ]
    axes = ["num_inference_steps", "lora"]
    drawn = scaling(cells, axes, "num_inference_steps", columns(cells)[0])
    assert drawn is not None and "thick line: median of all cells" in drawn
    first, last = re.findall(r'd="M([^"]*)" class="median-line"', drawn)[0].split("L")
    # Style 6 is the middle one of 13, so its own line equals the median.
    assert drawn.count(f'd="M{first}L{last}"') == 2
