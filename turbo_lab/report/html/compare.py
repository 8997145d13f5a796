"""The page of a comparison: contenders, paired differences, prompts won and lost."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.compare import CompareReport, PublishedTables
from turbo_lab.report.columns import Column
from turbo_lab.report.html.gate import check_table
from turbo_lab.report.html.page import Html, join, page, section, table, tag
from turbo_lab.report.html.pairs import Pictures, prompt_pairs
from turbo_lab.report.html.plots import Series, tradeoff
from turbo_lab.report.html.svg import SERIES
from turbo_lab.report.html.sweep import FRONT
from turbo_lab.report.html.table import figure_cell, table_legend
from turbo_lab.report.markdown import published_columns
from turbo_lab.verdict import Direction

_HOW = (
    "Paired by prompt and seed. The bar is the 95% interval of the candidate's difference, the "
    "tinted field where it is at least as good. Regression: the candidate is worse; inconclusive: "
    "so many prompts cannot tell. Detectable: what they show with 80% power."
)


def compare_page(report: CompareReport, pictures: Pictures) -> str:
    """Return one HTML file about a comparison. ``pictures``: by contender."""
    contenders = report.contenders
    labels = [item.label for item in contenders]
    quality, latency = _columns(report)
    figures = [*quality, latency, *_energy(report)]
    series = Series(tuple(index % SERIES for index in range(len(labels))), ())
    plots = [plot for column in quality if (plot := tradeoff(labels, column, latency, series))]
    parts = [
        ("contenders", "Contenders", _contenders(labels, report.candidate, figures)),
        ("tradeoff", "Trade-off", join([tag("p", FRONT, class_="soft"),
                                        tag("div", *plots, class_="plots")]) if plots else None),
        ("differences", "Differences", join([check_table(report.rows),
                                             tag("p", _HOW, class_="soft legend")])),
        ("prompts", "Prompts", _prompts(report, pictures) if report.prompts else None),
        ("published", "Published", None if report.published is None
         else _published(report.published)),
    ]  # fmt: skip
    shown = [part for part in parts if part[2] is not None]
    return page(
        f"{report.candidate} against {', '.join(x for x in labels if x != report.candidate)}",
        None,
        *(section(identity, title, body) for identity, title, body in shown),
        kind="turbo-lab compare",
        links=[(identity, title) for identity, title, _ in shown],
    )


def _columns(report: CompareReport) -> tuple[list[Column], Column]:
    """Figures with their direction, as the rows have it, and the latency of a call."""
    contenders = report.contenders
    directions = {row.name.split(" / ")[0]: row.direction for row in report.rows}
    nothing = (None,) * len(contenders)
    quality = []
    for name in contenders[0].metrics:
        figures = [item.metrics[name] for item in contenders]
        points = tuple(figure.value for figure in figures)
        bounds = tuple(figure.ci95 for figure in figures)
        quality.append(
            Column(name, name, directions.get(name, Direction.NONE), points, bounds, nothing)
        )
    calls = [item.latency_s for item in contenders]
    points = tuple(1e3 * call.p50 for call in calls)
    bounds = tuple(None if c.ci95 is None else (1e3 * c.ci95[0], 1e3 * c.ci95[1]) for c in calls)
    return quality, Column("latency_ms", "p50 ms", Direction.LOWER, points, bounds, nothing)


def _energy(report: CompareReport) -> list[Column]:
    """Return the column of joules per image; none if no contender has it."""
    found = [item.energy for item in report.contenders]
    if not any(found):
        return []
    values = tuple(None if one is None else one.joules_per_image for one in found)
    bounds = tuple(None if one is None else one.ci95 for one in found)
    nothing = (None,) * len(found)
    return [Column("energy", "J/image", Direction.LOWER, values, bounds, nothing)]


def _contenders(labels: Sequence[str], candidate: str, columns: Sequence[Column]) -> Html:
    best, level = [c.best() for c in columns], [c.level() for c in columns]
    rows = []
    for index, name in enumerate(labels):
        figures = [
            figure_cell(column, index, index in best[at], index in level[at], {})
            for at, column in enumerate(columns)
        ]
        rows.append((tag("strong", name) if name == candidate else name, *figures))
    heads = [("contender", False), *((column.heading, True) for column in columns)]
    attributes = [{"data_cell": index} for index in range(len(labels))]
    return join([table(heads, rows, attributes, class_="figures"), table_legend(columns, {})])


def _prompts(report: CompareReport, pictures: Pictures) -> Html:
    """Against each baseline, where the candidate gains and loses most."""
    groups: list[Html] = []
    for label, found in report.prompts.items():
        for pairs, title in ((found.gains, "gains most on"), (found.losses, "loses most on")):
            candidate = report.candidate
            groups.append(tag("h3", f"against {label}, {candidate} {title}"))
            groups.append(prompt_pairs(pairs, (candidate, label), pictures))
    return join(groups)


def _published(published: PublishedTables) -> Html:
    """What papers report, a table a protocol."""
    groups: list[Html] = [tag("p", f"{published.note}.", class_="soft")]
    for protocol in published.protocols:
        columns = published_columns(protocol.rows)
        rows = [[getattr(row, name) or "\N{EN DASH}" for name in columns.values()]
                for row in protocol.rows]  # fmt: skip
        groups += [tag("h3", protocol.id), tag("p", protocol.measured, class_="soft")]
        groups.append(table([(head, False) for head in columns], rows))
    return join(groups)
