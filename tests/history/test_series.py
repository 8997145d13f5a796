"""Series: what is comparable, what changed, and what else changed there."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.history.entries import entries, entry, occasion, stepped
from turbo_lab.errors import InputError
from turbo_lab.history.series import select, show, simulate
from turbo_lab.verdict import Direction


def test_a_step_names_what_changed_with_it() -> None:
    found = entries(stepped())
    found[30:] = [
        replace(one, occasion=replace(occasion(30 + i, torch="2.12.0"), options={"host": "pool a"}))
        for i, one in enumerate(found[30:])
    ]
    shown = show(found)
    (series,) = shown.series
    assert (shown.entries, shown.worse, len(series.points)) == (40, 1, 40)
    (change,) = series.changes
    assert (change.kind, change.first, change.last, change.is_worse) == ("step", 29, 30, True)
    assert change.relative == pytest.approx(0.2, abs=0.01)
    changed = {one.key: (one.before, one.after) for one in change.environment}
    assert changed == {
        "commit": (f"{30:040x}"[::-1], f"{31:040x}"[::-1]),
        "torch": ("2.11.0", "2.12.0"),
    }


def test_a_drift_that_no_neighbour_shows() -> None:
    values = [0.8 - 0.001 * i + 0.002 * ((5 * i) % 7 - 3) for i in range(40)]
    (series,) = show(entries(values, direction=Direction.HIGHER, unit="")).series
    (change,) = series.changes
    assert (change.kind, change.first, change.last, change.is_worse) == ("drift", 0, 39, True)
    assert change.ci95 is not None and change.ci95[0] < -0.039 < change.ci95[1] < 0


def test_latencies_of_two_machines_are_two_series() -> None:
    here = entries([0.05, 0.051])
    there = [
        replace(one, occasion=replace(one.occasion, options={"host": "pool b"}))
        for one in entries([0.09])
    ]
    shown = show([*here, *there])
    assert [len(one.points) for one in shown.series] == [2, 1]
    assert shown.series[0].place == "cpu x86-64, model 1, pool a"
    quality = [
        replace(one, figures=tuple(replace(f, is_timed=False) for f in one.figures))
        for one in (*here, *there)
    ]
    assert [len(one.points) for one in show(quality).series] == [3]


def test_series_that_got_worse_come_first_and_others_are_kept() -> None:
    still = entries([0.05] * 40, name="load")
    worse, better = entries(stepped()), entries(stepped(0.7), name="energy")
    rows = [
        replace(a, figures=(*a.figures, *b.figures, *c.figures))
        for a, b, c in zip(still, better, worse, strict=True)
    ]
    assert [one.name for one in show(rows).series] == ["latency", "energy", "load"]


def test_a_value_that_is_not_finite_is_left_out() -> None:
    (series,) = show(entries([0.05, math.inf, 0.06])).series
    assert [one.value for one in series.points] == [0.05, 0.06]


def test_a_change_from_zero_has_no_ratio() -> None:
    (series,) = show(entries([0.0] * 20 + [1.0] * 20)).series
    assert [one.relative for one in series.changes] == [None]


def test_more_figures_need_more_evidence() -> None:
    values = [0.05 + 0.001 * ((7 * i) % 5) + (0.004 if i >= 6 else 0) for i in range(12)]
    alone = show(entries(values), level=0.05)
    assert alone.series[0].changes
    many = [
        replace(
            one,
            figures=one.figures + tuple(replace(one.figures[0], name=str(k)) for k in range(99)),
        )
        for one in entries(values)
    ]
    assert not any(one.changes for one in show(many, level=0.05).series)


def test_entries_are_selected_by_date_commit_and_name() -> None:
    found = entries([0.05, 0.06, 0.07])
    assert select(found, "2026-06-02", None) == tuple(found[1:])
    assert select(found, "2026-06-02T12:00:00+02:00", None) == tuple(found[2:])
    assert select(found, found[2].occasion.git.commit[:8], None) == tuple(found[2:])  # type: ignore[union-attr]
    assert select(found, None, "late") == tuple(found)
    both = [replace(found[0], figures=(*found[0].figures, *entry(0, 1, name="load").figures))]
    assert [f.name for f in select([*both, found[1]], None, "load")[0].figures] == ["load"]
    assert len(select([*both, found[1]], None, "load")) == 1


@pytest.mark.parametrize(
    ("since", "name", "message"),
    [
        ("2027-01-01", None, "since=2027-01-01: the last entry is of 2026-06-03"),
        ("abc", None, "since=abc: is neither a date such as 2026-11-01 nor a commit"),
        (None, "latenci", "figure=latenci: unknown. Did you mean latency?"),
    ],
)
def test_a_selection_of_nothing_is_refused(
    since: str | None, name: str | None, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        select(entries([0.05, 0.06, 0.07]), since, name)
    assert message in str(caught.value)


def test_a_simulation_has_a_row_per_length_and_step() -> None:
    found = simulate([10, 20], 0.05, runs=20)
    assert [(row.entries, row.step) for row in found.rows] == [
        (length, step) for length in (10, 20) for step in (0, 1, 2, 3)
    ]
    assert (found.level, found.runs) == (0.05, 20)
