"""The result of ``compare`` as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from turbo_lab.documents.compare import (
    CompareReport,
    ContenderEnergy,
    ContenderMetric,
    FidelityMetric,
    PublishedTables,
)
from turbo_lab.report.markdown import difference, number, published_columns
from turbo_lab.report.text.terminal import open_console
from turbo_lab.verdict import Verdict

_WORDS = {
    Verdict.PASS: "[green]at least as good[/]",
    Verdict.REGRESSION: "[red]worse[/]",
    Verdict.INCONCLUSIVE: "[yellow]undecided[/]",
    Verdict.UNCOVERED: "[yellow]uncovered[/]",
    Verdict.ERROR: "[magenta]error[/]",
}


def print_compare(report: CompareReport) -> None:
    """Print the contenders, the paired differences and, if asked for, published values."""
    console, table = open_console(), Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    names = list(report.contenders[0].metrics)
    energy = ("J/image",) if any(item.energy for item in report.contenders) else ()
    for column in (*names, "p50 ms", *energy, "front"):
        table.add_column(column, justify="right")
    for item in report.contenders:
        metrics = [_metric(item.metrics[name]) for name in names]
        latency = f"{item.latency_s.p50 * 1e3:.1f}"
        front = "*" * (item.label in report.pareto)
        joules = (_joules(item.energy),) if energy else ()
        table.add_row(escape(item.label), *metrics, latency, *joules, front)
    console.print(table)
    console.print(
        "* on the Pareto front of clip_score and latency, as far as the intervals can tell\n"
    )
    table = Table(box=None, pad_edge=False)
    for column in (
        f"{escape(report.candidate)} against",
        "result",
        "difference (95%)",
        "detectable",
    ):
        table.add_column(column)
    for row in report.rows:
        effect = number(row.minimum_detectable_effect)
        table.add_row(escape(row.name), _WORDS[row.verdict], difference(row), effect)
    console.print(table)
    for label, rows in report.fidelity.items():
        _print_fidelity(console, label, rows)
    if report.published is not None:
        _print_published(console, report.published)


def _print_fidelity(console: Console, label: str, rows: Sequence[FidelityMetric]) -> None:
    """Print how far images of the same prompts and seeds are from each other."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"same prompts and seeds, against {escape(label)}")
    for column in ("mean (95%)", "worst"):
        table.add_column(column, justify="right")
    for row in rows:
        if row.mean is None:
            table.add_row(row.name, escape(row.note or ""), "-")
            continue
        ci95 = row.ci95
        spread = "" if ci95 is None else f" ({number(ci95[0])} to {number(ci95[1])})"
        name = f"{row.name}, {row.unit}"
        table.add_row(name, f"{number(row.mean)}{spread}", number(row.worst))
    console.print()
    console.print(table)


def _print_published(console: Console, published: PublishedTables) -> None:
    """Print one table per protocol, so that only comparable rows share a table."""
    console.print(f"\n{published.note}.", highlight=False, markup=False)
    for protocol in published.protocols:
        measured = escape(protocol.measured)
        console.print(f"\n[bold]{protocol.id}[/]: {measured}", highlight=False)
        columns = published_columns(protocol.rows)
        table = Table(box=None, pad_edge=False)
        for column in columns:
            table.add_column(column)
        for row in protocol.rows:
            table.add_row(*(escape(getattr(row, name) or "-") for name in columns.values()))
        console.print(table)


def _joules(energy: ContenderEnergy | None) -> str:
    if energy is None:
        return "-"
    text = number(energy.joules_per_image)
    if energy.ci95 is not None:
        text += f" ({number(energy.ci95[0])} to {number(energy.ci95[1])})"
    return text + (" by power" if energy.method == "power" else "")


def _metric(metric: ContenderMetric) -> str:
    if metric.value is None:
        return "unscored"
    text = f"{metric.value:.3f}"
    if metric.ci95 is not None:
        low, high = metric.ci95
        text += f" ±{(high - low) / 2:.3f}"
    return text
