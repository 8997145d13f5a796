"""HTML page of a comparison: contenders, paired differences, prompts won and lost."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.compare import CompareReport, PublishedTables
from turbo_lab.report.columns import Column, plain_column
from turbo_lab.report.entrants import entrant_table, failure_lines, table_notes
from turbo_lab.report.html.gate import check_table
from turbo_lab.report.html.page import Heading, Html, join, page, section, table, tag
from turbo_lab.report.html.pairs import PAIR_SCRIPTS, Pictures, prompt_pairs
from turbo_lab.report.html.plots import Series, legend, tradeoff
from turbo_lab.report.html.svg import SERIES
from turbo_lab.report.html.sweep import FRONT
from turbo_lab.report.html.table import metric_heading, table_legend, value_cell
from turbo_lab.report.markdown import number, published_columns
from turbo_lab.report.sentences import (
    DIFFERENCES,
    ON_FRONT,
    OUTCOMES,
    compare_title,
    contender_latencies,
    contender_sources,
    distance_name,
    mean_text,
    prompt_changes,
    prompt_sides,
    prompts_title,
    same_images,
)
from turbo_lab.verdict import Direction

_BAR = (
    " The bar is the 95% interval of the difference; in the tinted area the candidate is at least "
    "as good."
)


def compare_page(report: CompareReport, pictures: Pictures) -> str:
    """Return the HTML page about a comparison. ``pictures``: images, by contender and prompt."""
    contenders = report.contenders
    labels = [item.label for item in contenders]
    quality, latency = _columns(report)
    columns = [*quality, latency, *_energy(report)]
    parts = [
        ("entrants", "Entrants", _entrants(report)),
        ("contenders", "Contenders", _contenders(report, columns)),
        ("tradeoff", "Trade-off", _tradeoffs(labels, quality, latency)),
        ("differences", "Differences", _differences(report)),
        ("fidelity", "Same prompts and seeds", _fidelity(report) if report.fidelity else None),
        ("prompts", "Prompts", _prompts(report, pictures) if report.prompts else None),
        ("published", "Published", report.published and _published(report.published)),
    ]
    shown = [(identity, name, body) for identity, name, body in parts if body is not None]
    return page(
        compare_title(report),
        None,
        *(section(identity, name, body) for identity, name, body in shown),
        kind="turbo-lab compare",
        scripts=("tips", *PAIR_SCRIPTS),
        links=[(identity, name) for identity, name, _ in shown],
    )


def _columns(report: CompareReport) -> tuple[list[Column], Column]:
    """Return the columns of the metrics, and the column of the latency per call."""
    contenders = report.contenders
    quality = []
    for name in contenders[0].metrics:
        found = [item.metrics[name] for item in contenders]
        values, intervals = [one.value for one in found], [one.ci95 for one in found]
        quality.append(plain_column(name, name, found[0].direction, values, intervals=intervals))
    calls = [item.latency_s for item in contenders]
    medians = [1e3 * call.p50 for call in calls]
    bounds = [None if c.ci95 is None else (1e3 * c.ci95[0], 1e3 * c.ci95[1]) for c in calls]
    latency = plain_column("latency_ms", "p50 ms", Direction.LOWER, medians, intervals=bounds)
    return quality, latency


def _energy(report: CompareReport) -> list[Column]:
    """Return the column of joules per image; none if no contender has it."""
    found = [item.energy for item in report.contenders]
    if not any(found):
        return []
    values = [None if one is None else one.joules_per_image for one in found]
    bounds = [None if one is None else one.ci95 for one in found]
    return [plain_column("energy", "J/image", Direction.LOWER, values, intervals=bounds)]


def _tradeoffs(labels: Sequence[str], quality: Sequence[Column], latency: Column) -> Html | None:
    colours = tuple(index % SERIES for index in range(len(labels)))
    series = Series(colours, tuple(labels) if len(labels) <= SERIES else ())
    plots = [plot for column in quality if (plot := tradeoff(labels, column, latency, series))]
    if not plots:
        return None
    front = tag("p", FRONT, class_="soft")
    return join(front, legend(series), tag("div", *plots, class_="plots"))


def _differences(report: CompareReport) -> Html:
    return join(
        check_table(report.rows, OUTCOMES), tag("p", DIFFERENCES, _BAR, class_="soft legend")
    )


def _fidelity(report: CompareReport) -> Html:
    """Return how far images of the same prompts and seeds are from each other, per baseline."""
    groups: list[Html] = []
    heads = [Heading("distance"), *(Heading(name, True) for name in ("mean (95%)", "worst"))]
    for label, found in report.fidelity.items():
        rows = [(distance_name(row), mean_text(row), number(row.worst)) for row in found]
        groups += [tag("h3", same_images(report, label)), table(heads, rows)]
        notes = [tag("li", f"{row.name}: {row.note}") for row in found if row.note]
        groups += [tag("ul", *notes, class_="notes soft")] if notes else []
    return join(*groups)


def _entrants(report: CompareReport) -> Html | None:
    """Return every entrant next to the reference; nothing for an earlier version's document."""
    found = entrant_table(report)
    if not found.rows:
        return None
    heads = [Heading("entrant"), *(Heading(name, True) for name in found.heads)]
    rows: list[list[object]] = [[label, *values] for label, values in found.rows]
    rows += [[label, "failed", *[""] * (len(found.heads) - 1)] for label, _ in found.failures]
    failures = [tag("li", line) for line in failure_lines(found)]
    return join(
        table(heads, rows),
        *(tag("p", text, class_="soft legend") for text in table_notes(report)),
        tag("ul", *failures, class_="errors") if failures else None,
    )


def _contenders(report: CompareReport, columns: Sequence[Column]) -> Html:
    labels, candidate = [item.label for item in report.contenders], report.candidate
    best, level = [c.best() for c in columns], [c.level() for c in columns]
    rows = []
    for index, name in enumerate(labels):
        values = [
            value_cell(column, index, best=index in best[at], level=index in level[at])
            for at, column in enumerate(columns)
        ]
        front = "*" * (name in report.pareto)
        rows.append((tag("strong", name) if name == candidate else name, *values, front))
    heads = [Heading("contender"), *(metric_heading(column) for column in columns)]
    heads.append(Heading("front"))
    attributes = [{"data_cell": index} for index in range(len(labels))]
    notes = (contender_latencies(report), f"* {ON_FRONT}", contender_sources(report))
    return join(
        table(heads, rows, attributes, class_="metrics"),
        table_legend(columns, {}),
        *(tag("p", f"{text}.", class_="soft legend") for text in notes if text is not None),
    )


def _prompts(report: CompareReport, pictures: Pictures) -> Html:
    """Return the prompts on which the candidate gains and loses most, per baseline."""
    groups: list[Html] = []
    for label, found in report.prompts.items():
        for title, pairs in prompt_changes(found):
            groups.append(tag("h3", f"{prompts_title(report, label)} {title}"))
            groups.append(prompt_pairs(pairs, prompt_sides(report, label), pictures))
    return join(*groups)


def _published(published: PublishedTables) -> Html:
    """Return one table of published values per protocol."""
    groups: list[Html] = [tag("p", f"{published.note}.", class_="soft")]
    for protocol in published.protocols:
        columns = published_columns(protocol.rows)
        rows = [
            [getattr(row, name) or "\N{EN DASH}" for name in columns.values()]
            for row in protocol.rows
        ]
        groups += [tag("h3", protocol.id), tag("p", protocol.measured, class_="soft")]
        groups.append(table([Heading(head) for head in columns], rows))
    return join(*groups)
