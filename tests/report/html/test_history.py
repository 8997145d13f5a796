"""The page of a history."""

from __future__ import annotations

import math
import re

from tests.history.entries import entries, entry, stepped
from turbo_lab.history.series import show
from turbo_lab.report.html.history import history_page
from turbo_lab.verdict import Direction


def test_each_series_has_a_row_and_a_plot() -> None:
    other = entries([0.9 - 0.01 * i for i in range(20)], name="<clip>", unit="", is_timed=False)
    rows = [*entries(stepped()), *other]
    page = history_page(show(sorted(rows, key=lambda one: one.occasion.date)))
    assert page.count('<figure class="plot"') + page.count('class="plot">') >= 2
    assert "&lt;clip&gt;" in page and "<clip>" not in page
    assert 'class="change worse"' in page and "latency, ms" in page


def test_dots_are_left_out_where_they_would_cover_the_line() -> None:
    few, many = (history_page(show(entries([0.05] * num))) for num in (20, 300))
    assert few.count("<circle") == 20 and many.count("<circle") == 0
    assert 'class="s0 series"' in many


def test_one_entry_and_an_endless_interval_can_be_drawn() -> None:
    one = history_page(show([entry(0, 0.05, ci95=(0.0, math.inf))]))
    assert one.count("<circle") == 1
    body = one[one.index("<main") : one.index("<footer")]
    body = re.sub(r' (data-tip|aria-label)="[^"]*"', "", body)  # words for people
    assert not re.search(r'="[^"]*\b(nan|inf)\b[^"]*"', body)


def test_a_change_for_the_better_is_not_red() -> None:
    page = history_page(show(entries(stepped(), direction=Direction.HIGHER)))
    assert 'class="change"' in page and "change worse" not in page
