"""A sweep in a few lines of Markdown, as MLflow's page shows it above the runs of the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from turbo_lab.analysis.digits import significant
from turbo_lab.documents.sweep import CellResult, SweepResult, fixed_settings
from turbo_lab.report.brief import brief_table
from turbo_lab.report.columns import columns, short_axis
from turbo_lab.report.markdown import markdown_cell
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.tracking.names import MAX_TAG, cut
from turbo_lab.tracking.projection import run_name
from turbo_lab.untrusted.typed_json import to_plain

# MLflow's servers refuse a description of more than 5,000 characters.
_MAX_LENGTH = 4500


def best_cells(cells: Sequence[CellResult]) -> dict[str, str]:
    """Return the name of the best cell by metric; of equal ones, the first."""
    found = {}
    for column in columns(cells):
        if best := sorted(column.best()):
            found[column.title] = run_name(cells[best[0]])
    return found


def sweep_description(sweep: SweepResult, links: Mapping[str, str]) -> str:
    """Return the best cells, a table of the cells, and what they share.

    ``links``: address of each cell's run, by record id.
    """
    cells = sweep.cells
    lines = [f"- {text}" for text in _best_lines(cells, links)]
    usual = to_plain(PipelineKeys())
    shared = (
        f"{key} {markdown_cell(value)}"
        for key, value in fixed_settings(cells).items()
        if key not in usual or usual[key] != value
    )
    end = ["", f"All cells: {', '.join(shared)}."]
    head, *rows = _table(cells, links)
    left = _MAX_LENGTH - len("\n".join([*lines, head, *end]))
    sizes = accumulate(len(row) + 1 for row in rows)
    shown = sum(size <= left for size in sizes)
    lines += ["", head, *rows[:shown]]
    if shown < len(rows):
        lines += ["", f"{len(rows) - shown} more cells are among the runs of this sweep."]
    return cut("\n".join([*lines, *end]).strip(), MAX_TAG)


def _best_lines(cells: Sequence[CellResult], links: Mapping[str, str]) -> list[str]:
    lines = []
    for column in columns(cells):
        best = sorted(column.best())
        if not best:
            continue
        value = column.values[best[0]]
        shown = "" if value is None else f" ({significant(value)})"
        others = f", and {len(best) - 1} more" if len(best) > 1 else ""
        name, run = markdown_cell(column.title), _linked(cells[best[0]], links)
        lines.append(f"**Best {name}:** {run}{shown}{others}")
    return lines


def _table(cells: Sequence[CellResult], links: Mapping[str, str]) -> list[str]:
    """Return the heading, and one row per cell with the best value of each column in bold."""
    found = brief_table(cells)
    heads = ["run", *map(_heading, (*map(short_axis, found.axes), *found.headings))]
    lines = [f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}"]
    for cell, row in zip(cells, found.rows, strict=True):
        values = [markdown_cell(cell.axes.get(name, "")) for name in found.axes]
        metrics = [f"**{one.text}**" if one.is_best else one.text for one in row]
        lines.append(f"| {' | '.join([_linked(cell, links), *values, *metrics])} |")
    return lines


def _linked(cell: CellResult, links: Mapping[str, str]) -> str:
    name, link = markdown_cell(run_name(cell)), links.get(cell.record_id)
    return name if link is None else f"[{name}]({link})"


def _heading(text: str) -> str:
    """Return a name of somebody else's document; ``_`` in a name is not markup."""
    return markdown_cell(text, "\\|<>`")
