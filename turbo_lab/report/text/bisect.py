"""Results of ``bisect`` as text for the terminal."""

from __future__ import annotations

from rich.markup import escape

from turbo_lab.documents.upgrade import BisectReport
from turbo_lab.report.text.layout import Head, print_table
from turbo_lab.report.text.terminal import open_console
from turbo_lab.report.upgrade_sentences import change_of_bisect, outcome_of_bisect

_STYLES = {"same": "green", "changed": "red", "skipped": "yellow", "untested": "dim"}


def print_bisect(report: BisectReport) -> None:
    """Print every version with its outcome, then each change."""
    console = open_console()
    rows = [
        [
            escape(one.version),
            f"[{_STYLES[one.status]}]{one.status}[/]",
            escape(_first_line(one.note)),
        ]
        for one in report.versions
    ]
    print_table(console, [Head("version"), Head("outcome"), Head("note", wraps=True)], rows)
    for change in report.changes:
        console.print()
        for line in change_of_bisect(change):
            console.print(line, markup=False, highlight=False)
    console.print(f"\n{outcome_of_bisect(report)}", markup=False, highlight=False)


def _coloured(status: str) -> str:
    return f"[{_STYLES[status]}]{status}[/]"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
