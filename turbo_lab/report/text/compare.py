"""The result of ``compare`` as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from turbo_lab.documents.compare import (
    CompareReport,
    ContenderEnergy,
    ContenderMetric,
    FidelityMetric,
    PublishedTables,
)
from turbo_lab.report.entrants import entrant_table, failure_lines, table_notes
from turbo_lab.report.markdown import difference, number, published_columns
from turbo_lab.report.sentences import (
    DIFFERENCES,
    ON_FRONT,
    OUTCOMES,
    contender_latencies,
    contender_sources,
    differences_title,
    distance_name,
    listed_prompts,
    mean_text,
    prompt_changes,
    prompts_title,
    same_images,
)
from turbo_lab.report.text.layout import Head, number_heads, print_table
from turbo_lab.report.text.terminal import open_console


def print_compare(report: CompareReport) -> None:
    """Print the contenders, the paired differences and, if asked for, published values."""
    console = open_console()
    names = list(report.contenders[0].metrics)
    energy = ("J/image",) if any(item.energy for item in report.contenders) else ()
    rows = []
    for item in report.contenders:
        metrics = [_metric(item.metrics[name]) for name in names]
        latency = f"{item.latency_s.p50 * 1e3:.1f}"
        front = "*" * (item.label in report.pareto)
        joules = (_joules(item.energy),) if energy else ()
        rows.append([escape(item.label), *metrics, latency, *joules, front])
    heads = [Head("contender"), *number_heads(*names, "p50 ms", *energy, "front")]
    print_table(console, heads, rows)
    for note in (contender_latencies(report), f"* {ON_FRONT}", contender_sources(report)):
        if note is not None:
            console.print(note, markup=False, highlight=False)
    console.print()
    _print_entrants(console, report)
    _print_differences(console, report)
    for label, found in report.fidelity.items():
        _print_fidelity(console, same_images(report, label), found)
    for label, extremes in report.prompts.items():
        console.print(f"\n{prompts_title(report, label)}", markup=False, highlight=False)
        for title, pairs in prompt_changes(extremes):
            console.print(f"{title}: {listed_prompts(pairs)}", markup=False, highlight=False)
    if report.published is not None:
        _print_published(console, report.published)


def _print_entrants(console: Console, report: CompareReport) -> None:
    """Print every entrant next to the reference, and why some have failed."""
    table = entrant_table(report)
    if not table.rows:
        return
    heads = [Head("entrant"), *number_heads(*table.heads)]
    blanks = ("",) * (len(table.heads) - 1)
    rows = [(escape(label), *values) for label, values in table.rows]
    rows += [(escape(label), "failed", *blanks) for label, _ in table.failures]
    print_table(console, heads, rows)
    for note in table_notes(report):
        console.print(note, style="dim", highlight=False, markup=False)
    for line in failure_lines(table):
        console.print(line, highlight=False, markup=False)
    console.print()


def _print_differences(console: Console, report: CompareReport) -> None:
    """Print the paired difference of each metric from each baseline."""
    titles = (escape(differences_title(report)), "result", "difference (95%)", "detectable")
    heads = [Head(title) for title in titles]
    rows = [
        [
            escape(row.name),
            f"[{row.verdict.style}]{OUTCOMES[row.verdict]}[/]",
            difference(row),
            number(row.minimum_detectable_effect),
        ]
        for row in report.rows
    ]
    print_table(console, heads, rows)
    console.print(DIFFERENCES, style="dim", highlight=False)


def _print_fidelity(console: Console, title: str, found: Sequence[FidelityMetric]) -> None:
    """Print how far images of the same prompts and seeds are from each other."""
    heads = [Head(escape(title)), *number_heads("mean (95%)", "worst")]
    rows = [[distance_name(row), mean_text(row), number(row.worst) or "-"] for row in found]
    console.print()
    print_table(console, heads, rows)
    for row in found:
        if row.note:
            console.print(f"{row.name}: {row.note}", markup=False, highlight=False)


def _print_published(console: Console, published: PublishedTables) -> None:
    """Print one table per protocol, so that only comparable rows share a table."""
    console.print(f"\n{published.note}.", highlight=False, markup=False)
    for protocol in published.protocols:
        measured = escape(protocol.measured)
        console.print(f"\n[bold]{protocol.id}[/]: {measured}", highlight=False)
        columns = published_columns(protocol.rows)
        rows = [
            [escape(getattr(row, name) or "-") for name in columns.values()]
            for row in protocol.rows
        ]
        heads = [Head(name, wraps=name in ("publication", "other")) for name in columns]
        print_table(console, heads, rows)


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
