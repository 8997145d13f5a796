"""A comparison as GitHub-flavoured Markdown, ready to paste into a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.compare import CompareReport
from turbo_lab.report.entrants import (
    entrant_table,
    environment_line,
    failure_lines,
    table_notes,
)
from turbo_lab.report.markdown import difference, markdown_cell, number
from turbo_lab.report.sentences import (
    DIFFERENCES,
    OUTCOMES,
    distance_name,
    listed_prompts,
    mean_text,
    prompt_changes,
)


def compare_markdown(report: CompareReport) -> str:
    """Return the table of all entrants, the environment in one line, and the rest collapsed."""
    table = entrant_table(report)
    rows = [(label, *values) for label, values in table.rows]
    blanks = ("",) * (len(table.heads) - 1)
    rows += [(label, "failed", *blanks) for label, _ in table.failures]
    lines = _table(("entrant", *table.heads), rows, num_texts=1)
    lines += ["", " ".join(map(markdown_cell, table_notes(report)))]
    lines += ["", f"<sub>{markdown_cell(environment_line(report))}</sub>"]
    if table.failures:
        lines.append("")
        lines += [f"- {markdown_cell(line)}" for line in failure_lines(table)]
    details = [*_differences(report), *_distances(report), *_prompts(report)]
    summary = "<details>\n<summary>Paired differences and prompts</summary>"
    return "\n".join([*lines, "", summary, *details, "", "</details>"]) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], num_texts: int) -> list[str]:
    """Return the lines of a table; the first ``num_texts`` columns are text, the others numbers."""
    marks = ["---" if index < num_texts else "---:" for index in range(len(heads))]
    lines = [heads, marks, *([markdown_cell(value) for value in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _differences(report: CompareReport) -> list[str]:
    rows = [
        (row.name, OUTCOMES[row.verdict], difference(row), number(row.minimum_detectable_effect))
        for row in report.rows
    ]
    heads = ("metric", "result", "difference (95%)", "detectable")
    return ["", *_table(heads, rows, num_texts=2), "", DIFFERENCES]


def _distances(report: CompareReport) -> list[str]:
    lines = []
    for label, found in report.fidelity.items():
        rows = [(distance_name(row), mean_text(row), number(row.worst)) for row in found]
        heads = (f"same prompts and seeds: {markdown_cell(label)}", "mean (95%)", "worst")
        lines += ["", *_table(heads, rows, num_texts=1)]
        lines += ["", *(f"{row.name}: {markdown_cell(row.note)}" for row in found if row.note)]
    return lines


def _prompts(report: CompareReport) -> list[str]:
    lines = []
    for label, extremes in report.prompts.items():
        for title, pairs in prompt_changes(extremes):
            text = f"{label}: the candidate {title} {listed_prompts(pairs)}"
            lines += ["", markdown_cell(text)]
    return lines
