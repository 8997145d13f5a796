"""Scales, ticks and plots by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.results import sweep_result, with_figure
from turbo_lab.report.columns import Column, columns, label
from turbo_lab.report.html.plots import front, numeric_axes, scaling, series_by, tradeoff
from turbo_lab.report.html.svg import Scale, fit


def test_a_scale_by_hand() -> None:
    scale = Scale(0, 10, 100, 300)
    assert [scale(v) for v in (0, 5, 10)] == [100, 200, 300]
    assert scale.ticks() == [0, 2, 4, 6, 8, 10]
    down = Scale(1, 100, 200, 0, log=True)
    assert [down(v) for v in (1, 10, 100)] == [200, 100, 0]
    assert down.ticks() == [1, 2, 5, 10, 20, 50, 100]


def test_ticks_are_round_to_the_reader() -> None:
    assert Scale(0.05, 0.42, 0, 1).ticks() == [0.1, 0.2, 0.3, 0.4]


@given(st.lists(st.floats(-1e9, 1e9), max_size=8), st.sampled_from([None, True, False]))
def test_a_fitted_scale_holds_every_value(values: list[float], log: bool | None) -> None:
    scale = fit(values, 0, 100, log)
    assert all(-0.1 <= scale(value) <= 100.1 for value in values)
    # A range of 1e-300 has no ticks to be told apart; any other has a few.
    assert len(scale.ticks()) <= 12


def test_room_does_not_go_below_zero_where_no_value_does() -> None:
    assert fit([0.2, 10], 0, 1, log=False).low == 0
    assert fit([0.2, 10], 0, 1, log=False, from_zero=False).low < 0
    assert fit([-1, 10], 0, 1).low < -1


def two(values: list, intervals: list, direction: str) -> Column:
    return Column("q", "q", direction, tuple(values), tuple(intervals), (None,) * len(values))


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_the_front_needs_separate_intervals(direction: str) -> None:
    latency = two([1, 2, 2.05, 3], [(0.9, 1.1), (1.9, 2.1), (1.95, 2.15), None], "lower")
    sign = 1 if direction == "higher" else -1
    bounds = [(5, 6), (4, 4.5), (5.5, 7), (8, 9)]
    intervals = [tuple(sorted((sign * a, sign * b))) for a, b in bounds]
    values = [sign * (a + b) / 2 for a, b in bounds]
    # The second is slower and worse than the first. The third overlaps the first in quality but
    # is slower. The fourth is better, but nobody knows how fast it is.
    assert front(two(values, intervals, direction), latency) == [0]


def test_the_front_leaves_out_the_worst_whose_interval_is_the_only_one() -> None:
    quality = two([0.9, 0.1], [None, (0.05, 0.15)], "higher")
    latency = two([1.0, 2.0], [(0.9, 1.1), (1.9, 2.1)], "lower")
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
    titles = [text for g in points if (text := g.findtext("circle/title"))]
    assert any("steps 2 · guidance 2: clip_score 0.80" in text for text in titles)


def test_scaling_joins_cells_that_differ_in_nothing_else() -> None:
    cells = sweep_result(None).cells
    axes = ["num_inference_steps", "guidance_scale"]
    assert numeric_axes(cells, axes) == axes
    drawn = scaling(cells, axes, "num_inference_steps", columns(cells)[0])
    assert drawn is not None
    # Guidance 0 has one point, since the other failed; guidance 2 has two.
    lines = re.findall(r'<path d="(M[^"]*)"', drawn)
    assert sorted(line.count(",") for line in lines) == [1, 2]


def test_sizes_are_plotted_by_their_pixels_and_words_not_at_all() -> None:
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
            with_figure(template, "clip_score", value=float(style + steps)),
            axes={"num_inference_steps": steps, "lora": f"style-{style}"},
        )
        for style in range(13)
        for steps in (1, 2)
    ]
    axes = ["num_inference_steps", "lora"]
    drawn = scaling(cells, axes, "num_inference_steps", columns(cells)[0])
    assert drawn is not None and "the median of all cells" in drawn
    first, last = re.findall(r'd="M([^"]*)" class="median-line"', drawn)[0].split("L")
    # Style 6 is the middle one of 13: its own line ends where the median does.
    assert drawn.count(f'd="M{first}L{last}"') == 2
