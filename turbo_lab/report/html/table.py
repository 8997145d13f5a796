"""Table of a sweep's page: one row per cell, one column per metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turbo_lab.documents.sweep import CellResult
from turbo_lab.report.columns import Column, footnotes, label, notes_by_stem, short_axis, stem
from turbo_lab.report.html.page import Cell, Heading, Html, cell, join, pill, table, tag
from turbo_lab.report.sentences import latency_note
from turbo_lab.store.record import CellStatus
from turbo_lab.verdict import Direction

_NO_MARKS: Mapping[tuple[str, str], int] = {}
Cells = Sequence[CellResult]


def metric_table(
    cells: Cells, axes: Sequence[str], columns: Sequence[Column], is_page: bool = True
) -> Html:
    """Return the table, its legend and its footnotes.

    ``is_page``: whether the scripts of a page are there, which filter, sort and save it.
    """
    marks = footnotes(columns)
    mixed = len({row.status for row in cells}) > 1
    heads = [Heading(short_axis(name)) for name in axes] or [Heading("cell")]
    heads += [Heading("status")] if mixed else []
    heads += [metric_heading(column) for column in columns]
    best, level = [c.best() for c in columns], [c.level() for c in columns]
    rows = []
    for index, row in enumerate(cells):
        where: list[object] = [cell(row.axes.get(name, ""), class_="axis") for name in axes] or [
            "the cell"
        ]
        where += [_status(row)] if mixed else []
        values = [
            value_cell(column, index, best=index in best[at], level=index in level[at], marks=marks)
            for at, column in enumerate(columns)
        ]
        rows.append([*where, *values])
    attributes = [{"data_cell": index, "id": f"cell-{index}"} for index in range(len(cells))]
    return join(
        tag("button", "CSV", type="button", class_="csv", title="Download the table as a file")
        if is_page
        else None,
        table(
            heads,
            rows,
            attributes if is_page else None,
            identity="cells" if is_page else None,
            class_="metrics",
            is_sortable=is_page,
        ),
        table_legend(columns, marks),
        tag("p", f"{note}.", class_="soft legend") if (note := latency_note(cells)) else None,
        _errors(cells, axes),
    )


def metric_heading(column: Column) -> Heading:
    """Return the heading of a column of numbers."""
    return Heading(column.heading, True, column.direction == Direction.HIGHER)


def _status(row: CellResult) -> Html | str:
    return pill("failed") if row.status == CellStatus.FAILED else str(row.status)


def value_cell(
    column: Column,
    index: int,
    *,
    best: bool,
    level: bool,
    marks: Mapping[tuple[str, str], int] = _NO_MARKS,
) -> Cell:
    """Return a value with its interval and the number of its footnote.

    ``best``: it is the best of its column. ``level``: its interval overlaps that of the best.
    ``marks``: numbers of the footnotes, by column and stem of the note.
    """
    value, note = column.values[index], column.notes[index]
    mark = tag("sup", marks[column.name, stem(note)], title=note) if note else None
    if value is None:
        return cell(join("unscored" if note else "\N{EN DASH}", mark), "", class_="n none")
    between = column.between(index)
    room = f"min-width:{column.widest}ch"
    spread = tag("span", between, class_="ci", style=room) if column.widest else None
    kind = "n best" if best else "n level" if level else "n"
    text = tag("span", f"{value:.{column.decimals}f}", class_="v")
    return cell(join(text, spread, mark), value, class_=kind)


def table_legend(columns: Sequence[Column], marks: Mapping[tuple[str, str], int]) -> Html:
    """Return the meaning of the marks in a table, and its footnotes."""
    parts: list[object] = []
    if any(column.best() for column in columns):
        parts += [tag("span", "0.00", class_="best"), " is the best of its column. "]
    if any(column.level() for column in columns):
        overlaps = " has an interval that overlaps that of the best. "
        parts += [tag("span", "0.00", class_="level"), overlaps]
    if any(interval for column in columns for interval in column.intervals):
        parts.append("Small numbers are 95% intervals.")
    texts = notes_by_stem(columns)
    notes = [tag("li", texts[key], value=number) for key, number in marks.items()]
    return join(
        tag("p", *parts, class_="soft legend"),
        tag("ol", *notes, class_="notes soft") if notes else None,
    )


def _errors(cells: Cells, axes: Sequence[str]) -> Html | None:
    failed = [tag("li", f"{label(row, axes)}: {row.error}") for row in cells if row.error]
    return tag("ul", *failed, class_="errors") if failed else None
