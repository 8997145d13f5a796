"""A history on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from turbo_lab.documents.history import HistoryShown, HistorySimulated, is_worse
from turbo_lab.report.history import change_line, last_change, number_text, outcome
from turbo_lab.report.text.layout import Head, number_heads, print_table
from turbo_lab.report.text.terminal import open_console


def print_history(shown: HistoryShown, console: Console | None = None) -> None:
    """Print the latest number of every series, and a line per change."""
    console = console or open_console()
    heads = [Head("figure"), Head("of", wraps=True), *number_heads("entries", "latest")]
    rows = []
    for series in shown.series:
        point = series.points[-1]
        style = "red" if is_worse(series) else "green" if series.changes else "dim"
        rows.append(
            [
                escape(series.name),
                escape(series.subject),
                str(len(series.points)),
                escape(number_text(point.value, series.unit, point.ci95)),
                f"[{style}]{escape(last_change(series))}[/]",
            ]
        )
    print_table(console, [*heads, Head("last change")], rows)
    for series in shown.series:
        for change in series.changes:
            named = f"{series.name} ({series.subject})" if series.subject else series.name
            line = f"{named}: {change_line(series, change)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(outcome(shown), style="dim", markup=False, highlight=False, soft_wrap=True)


def print_simulation(found: HistorySimulated, console: Console | None = None) -> None:
    """Print how often a change was found in simulated series."""
    console = console or open_console()
    heads = number_heads("entries", "step, sd", "series with a change", "95% interval")
    rows = []
    for row in found.rows:
        interval = "" if row.ci95 is None else f"{row.ci95[0]:.1%} to {row.ci95[1]:.1%}"
        step = "none" if row.step == 0 else f"{row.step:g}"
        rows.append([str(row.entries), step, f"{row.rate:.1%}", interval])
    print_table(console, heads, rows, num_keys=2)
    console.print(
        f"{found.runs} series per row, level {found.level:g}; the step comes after two thirds",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )
