"""Columns of a sweep: order, decimals, the best value and those that are level with it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.report.results import TIMING, sweep_result, with_cell, with_metric
from turbo_lab.report.columns import (
    Column,
    columns,
    footnotes,
    label,
    notes_by_stem,
    plain_column,
    varying_axes,
)
from turbo_lab.verdict import Direction


def column(values: list, intervals: list | None = None, direction: str = "higher") -> Column:
    return plain_column("x", "x", Direction(direction), values, intervals=intervals)


def test_quality_first_then_timing() -> None:
    found = columns(sweep_result(None).cells)
    names = [item.name for item in found]
    assert names == ["clip_score", "fd/nano-clip", "latency_ms", "throughput", "memory"]
    latency = found[2]
    assert latency.values == pytest.approx((100.0, 200.0, None, 400.0))
    assert latency.heading == "p50 ms ↓"


def test_calls_of_different_sizes_are_compared_per_image() -> None:
    cells = with_cell(sweep_result(None), 1, timing=replace(TIMING, batch_size=8)).cells
    latency = next(item for item in columns(cells) if item.name == "latency_ms")
    assert latency.values == pytest.approx((25.0, 25.0, None, 100.0))
    assert latency.title == "p50 ms per image"


@pytest.mark.parametrize(
    ("values", "direction", "best"),
    [
        ([1.0, 3.0, 2.0], "higher", {1}),
        ([1.0, 3.0, 2.0], "lower", {0}),
        ([1.0, 3.0, 3.0], "higher", {1, 2}),
        ([1.0, 3.0], "none", set()),
        ([1.0, None], "higher", set()),
        ([1.0, float("nan"), float("inf"), 0.5], "higher", {0}),
    ],
)
def test_best_needs_two_finite_values(values: list, direction: str, best: set[int]) -> None:
    assert column(values, direction=direction).best() == best


def test_a_value_is_level_if_its_interval_overlaps_the_best_one() -> None:
    found = column([5.0, 4.0, 3.0, 4.9], [(4, 6), (3.5, 4.5), (2, 3.9), None])
    assert (found.best(), found.level()) == ({0}, {1})


@pytest.mark.parametrize(
    ("values", "intervals", "decimals"),
    [
        ([0.87123], [(0.853, 0.886)], 3),
        ([106.0], [(20.0, 70.0)], 0),
        ([1234.5, 2.0], None, 0),
        ([0.5, 0.25], None, 4),
        ([0.0], None, 0),
        ([None, float("inf")], None, 3),
    ],
)
def test_decimals_follow_the_interval(values: list, intervals: list | None, decimals: int) -> None:
    assert column(values, intervals).decimals == decimals


def test_non_finite_values_have_no_half_width() -> None:
    first, *others = sweep_result(None).cells
    endless = with_metric(first, "clip_score", value=math.inf, ci95=(math.nan, math.inf))
    found = columns([endless, *others])[0]
    assert found.values[0] == float("inf") and found.half(0) is None
    assert found.text(1).startswith("clip_score 0.60")


def test_only_axes_that_vary_name_a_cell() -> None:
    cells = sweep_result(None).cells[:2]
    axes = varying_axes(cells)
    assert axes == ["guidance_scale"]
    assert [label(cell, axes) for cell in cells] == ["guidance 0", "guidance 2"]
    assert label(cells[0], []) == "the cell"


def test_notes_that_differ_in_numbers_and_processes_share_a_footnote() -> None:
    first = "host busy: other processes used 1.7 of 2 cores (running now: python)"
    second = "host busy: other processes used 0.4 of 2 cores (running now: grep, git)"
    noted = replace(column([1.0, 2.0, 3.0]), notes=(first, second, "drift"))
    assert list(footnotes([noted]).values()) == [1, 2]
    assert list(notes_by_stem([noted]).values()) == ["x: drift", f"x: {first}"]
