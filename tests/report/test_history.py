"""Sentences about a history."""

from __future__ import annotations

import pytest

from tests.history.entries import entries, stepped
from turbo_lab.history.series import show
from turbo_lab.report.history import (
    change_line,
    last_change,
    number_text,
    outcome,
    point_name,
    scaled,
    unit_name,
)

SHOWN = show(entries(stepped()))


@pytest.mark.parametrize(
    ("value", "unit", "ci95", "text"),
    [
        (0.0512, "s", (0.05, 0.0534), "51.2 ms (50 to 53.4)"),
        (300 * 2.0**20, "bytes", None, "300 MiB"),
        (3.5, "J/image", None, "3.5 J/image"),
        (0.8612, "", (0.85, 0.87), "0.8612 (0.85 to 0.87)"),
    ],
)
def test_numbers_are_in_units_that_people_read(
    value: float, unit: str, ci95: tuple[float, float] | None, text: str
) -> None:
    assert number_text(value, unit, ci95) == text


def test_scales() -> None:
    assert (scaled(2, "s"), unit_name("s")) == (2000, "ms")
    assert (scaled(2, "squared distance"), unit_name("squared distance")) == (2, "squared distance")


def test_a_change_says_where_how_much_and_what_else() -> None:
    (series,) = SHOWN.series
    assert last_change(series) == "+20.0% worse"
    line = change_line(series, series.changes[0])
    assert line.startswith("step at f100000000, 2026-07-01: +20.0% worse, 50 ms to 60 ms, p = ")
    assert point_name(series.points[0]) == "1000000000, 2026-06-01"


def test_a_series_without_a_change_and_one_from_zero() -> None:
    (still,) = show(entries([0.05] * 20)).series
    assert last_change(still) == "none found"
    (series,) = show(entries([0.0] * 20 + [0.1] * 20)).series
    assert last_change(series) == "+100 ms worse"


def test_the_outcome_says_what_the_level_means() -> None:
    assert outcome(SHOWN) == (
        "40 entries, 1 figure: 1 changed, 1 for the worse. If nothing had changed, the "
        "probability of any alarm would be at most 0.05."
    )
