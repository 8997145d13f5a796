"""How a table is made to fit."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from turbo_lab.report.text.layout import Head, number_heads, print_table

HEADS = [Head("check"), *number_heads("value", "difference (95%)", "margin")]
ROWS = [["clip_score", "0.8193", "-0.0495 (-0.0725 to -0.025)", "0.02"]]


def shown(width: int, heads: list[Head] = HEADS, rows: list[list[str]] = ROWS) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    print_table(console, heads, rows)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_table_that_fits_has_one_line_per_row() -> None:
    assert shown(80)[1] == "clip_score  0.8193  -0.0495 (-0.0725 to -0.025)    0.02"


def test_an_interval_moves_below_its_value_first() -> None:
    lines = shown(50)
    assert [line.split() for line in lines[1:]] == [
        ["clip_score", "0.8193", "-0.0495", "0.02"],
        ["(-0.0725", "to", "-0.025)"],
    ]


def test_columns_that_still_do_not_fit_are_printed_below_with_the_first_one() -> None:
    lines = shown(32)
    assert lines[0].split() == ["check", "value"]
    assert lines[3].split() == ["check", "difference", "(95%)"]
    assert lines[-1].split() == ["clip_score", "0.02"]
    assert all(len(line) <= 32 for line in lines)


@pytest.mark.parametrize("width", [50, 60, 80])
def test_sentences_wrap_at_words_and_long_names_of_rows_too(width: int) -> None:
    name, text = "a name with several words in it", "one two three four five six seven eight nine"
    lines = shown(width, [Head("case"), Head("outcome", wraps=True)], [[name, text]])
    assert all(len(line) <= width for line in lines)
    words = {word for line in lines for word in line.split()}
    assert words == {"case", "outcome", *name.split(), *text.split()}
