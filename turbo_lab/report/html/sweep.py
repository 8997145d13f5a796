"""HTML page of a sweep: results, trade-off, scaling, latency, images, prompts, environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.documents.sweep import CellResult, SweepResult, fixed_settings
from turbo_lab.report.columns import CellDetails, Column, columns, label, short_axis, varying_axes
from turbo_lab.report.html.controls import explorer, filter_form
from turbo_lab.report.html.explorer import (
    ExplorerData,
    Shown,
    data_block,
    explorer_data,
    has_images,
)
from turbo_lab.report.html.latency import latency_strips, stage_note
from turbo_lab.report.html.page import Heading, Html, definitions, join, page, section, table, tag
from turbo_lab.report.html.plots import legend, numeric_axes, scaling, series_by, tradeoff
from turbo_lab.report.html.prompts import Scores, prompt_table
from turbo_lab.report.html.table import metric_table
from turbo_lab.report.sentences import time_taken
from turbo_lab.verdict import Direction

Cells = Sequence[CellResult]
SCRIPTS = ("tips", "marks", "viewer", "filter", "tiles", "explorer")
"""Scripts of a sweep's page, in the order in which they need each other."""
_TIMING = ("latency_ms", "throughput", "memory", "energy")
FRONT = (
    "Filled points are on the Pareto front: no other is better in one of the two and at least as "
    "good in the other, as far as the 95% intervals can tell. Bars are these intervals."
)
# Trade-off plots that are visible at once; the others are folded.
_FIRST_PLOTS = 2


@dataclass(frozen=True)
class SweepPage:
    """The parts of a sweep's page that depend on its results."""

    title: str
    """Title of the page."""
    verdict: str
    """``complete``, ``incomplete`` or ``unfinished``."""
    summary: Html
    """Key facts, and the settings that do not vary."""
    filter: Html
    """Form of the filter."""
    sections: Mapping[str, tuple[str, Html]]
    """Title and body of each section, by its id."""
    data: ExplorerData
    """Data that the scripts read."""


def sweep_page(sweep: SweepResult, shown: Shown, is_running: bool = False) -> SweepPage:
    """Return the parts of the page about a sweep. ``shown``: images, and details of the store."""
    cells = sweep.cells
    axes = varying_axes(cells)
    found = columns(cells)
    quality = [c for c in found if c.name not in _TIMING]
    by_name = {column.name: column for column in found}
    latency = by_name.get("latency_ms")
    details = shown.details
    scored = next((c for c in quality if has_images(c, details)), None)
    data = explorer_data(sweep, axes, found, shown)
    parts = [
        ("results", "Results", metric_table(cells, axes, found)),
        ("images", "Images", explorer()),
        ("tradeoff", "Trade-off", _tradeoffs(cells, axes, quality, latency)),
        ("scaling", "Scaling", _scaling(cells, axes, quality, latency)),
        ("latency", "Latency", _latency(cells, axes, details)),
        ("prompts", "Prompts", prompt_table(cells, axes, Scores(details, scored))),
        ("environment", "Environment", _environment(sweep, details)),
    ]
    ended = "incomplete" if sweep.counts.failed else "complete"
    return SweepPage(
        title=_title(cells, axes),
        verdict="unfinished" if is_running else ended,
        summary=join(_summary(sweep, axes, by_name, quality), _fixed(cells)),
        filter=filter_form(data),
        sections={name: (title, body) for name, title, body in parts if body is not None},
        data=data,
    )


def sweep_report(sweep: SweepResult, shown: Shown) -> str:
    """Return the HTML page about a sweep.

    ``shown``: images by path, and what the store holds in addition to the document; the page
    counts the images that are missing here.
    """
    found = sweep_page(sweep, shown)
    return whole_page(found, sweep.sweep_id)


def whole_page(found: SweepPage, sweep_id: str, script: str | None = None) -> str:
    """Return the document around the parts. ``script``: one more asset, which may ask a server."""
    return page(
        found.title,
        found.verdict,
        tag("div", found.summary, id="summary"),
        found.filter,
        *(section(name, title, body) for name, (title, body) in found.sections.items()),
        data_block(found.data),
        kind=f"sweep {sweep_id[:12]}",
        links=[(name, title) for name, (title, _) in found.sections.items()],
        scripts=(*SCRIPTS, *((script,) if script else ())),
        is_served=script is not None,
    )


def _title(cells: Cells, axes: Sequence[str]) -> str:
    models = " and ".join(dict.fromkeys(row.model for row in cells))
    names = " \N{MULTIPLICATION SIGN} ".join(short_axis(name) for name in axes if name != "model")
    return f"{models}: {names}" if names else models or "no cell yet"


def _summary(
    sweep: SweepResult,
    axes: Sequence[str],
    by_name: Mapping[str, Column],
    quality: Sequence[Column],
) -> Html:
    """Return the key facts: how much there is, the best cell and the fastest."""
    cells, counts = sweep.cells, sweep.counts
    images = sum(len(row.images) for row in cells)
    ended = f"{counts.failed} failed" if counts.failed else "none failed"
    number = f"{len(cells)} of {counts.distinct}" if len(cells) < counts.distinct else len(cells)
    facts: list[tuple[object, object, object]] = [("cells", number, ended)]
    if images:
        facts.append(("images", images, f"{_each(cells)}"))
    for column in [*quality[:1], *filter(None, [by_name.get("latency_ms")])]:
        facts += _best(column, cells, axes)
    items = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", about, class_="soft"))
        for name, value, about in facts
    ]
    return tag("dl", *items, class_="facts")


def _fixed(cells: Cells) -> Html | None:
    """Return the settings that no cell varies, each once."""
    if not cells:
        return None
    found = fixed_settings(cells)
    names = ("model", "lora", "num_inference_steps", "guidance_scale", "resolution", "prompts")
    first = [f"{short_axis(name)} {found[name]}" for name in names if name in found]
    return tag(
        "details",
        tag("summary", f"The same in every cell: {', '.join(first)}, …"),
        definitions(found.items()),
        class_="fixed",
    )


def _each(cells: Cells) -> str:
    numbers = {len(row.images) for row in cells if row.images}
    return f"{numbers.pop()} per cell" if len(numbers) == 1 else "in all cells"


def _best(column: Column, cells: Cells, axes: Sequence[str]) -> list[tuple[object, object, object]]:
    best = sorted(column.best())
    if not best:
        return []
    value = column.values[best[0]]
    assert value is not None
    name = "fastest, p50" if column.name == "latency_ms" else f"best {column.title}"
    text = f"{value:.{column.decimals}f}"
    text += " ms" if column.name == "latency_ms" else ""
    level = len(column.level())
    also = f", tied with {level} more" if level else ""
    return [(name, text, label(cells[best[0]], axes) + also)]


def _tradeoffs(
    cells: Cells, axes: Sequence[str], quality: Sequence[Column], latency: Column | None
) -> Html | None:
    if latency is None:
        return None
    series = series_by(cells, axes)
    directed = [column for column in quality if column.direction != Direction.NONE]
    names = [label(row, axes) for row in cells]
    plots = [plot for c in directed if (plot := tradeoff(names, c, latency, series))]
    if not plots:
        return None
    return join(
        tag("p", FRONT, class_="soft"),
        legend(series),
        _plots(plots),
    )


def _scaling(
    cells: Cells, axes: Sequence[str], quality: Sequence[Column], latency: Column | None
) -> Html | None:
    shown = [*quality[:1], *filter(None, [latency])]
    plots = [
        plot
        for axis in numeric_axes(cells, axes)
        for column in shown
        if (plot := scaling(cells, axes, axis, column))
    ]
    return _plots(plots, len(plots)) if plots else None


def _plots(plots: Sequence[Html], first: int = _FIRST_PLOTS) -> Html:
    """Return a grid of plots; those beyond the first few are folded."""
    rest = plots[first:]
    return join(
        tag("div", *plots[:first], class_="plots"),
        tag(
            "details",
            tag("summary", f"{len(rest)} more plots"),
            tag("div", *rest, class_="plots"),
        )
        if rest
        else None,
    )


def _latency(cells: Cells, axes: Sequence[str], details: Mapping[str, CellDetails]) -> Html | None:
    strips = latency_strips(cells, axes, details)
    return strips and join(tag("p", stage_note(cells), class_="soft"), strips)


def _environment(sweep: SweepResult, details: Mapping[str, CellDetails]) -> Html:
    """Return what the last run did, weights and licences, and the fingerprint."""
    cells = sweep.cells
    keys = [found.fingerprint.keys for found in details.values()]
    options = [found.fingerprint.options for found in details.values()]
    return join(
        tag("h3", "Last run"),
        tag("p", f"{_last_run(sweep)}.", class_="soft"),
        tag("h3", "Weights and prompts"),
        _weights(cells),
        *([tag("h3", "Fingerprint"), definitions(_merged(keys))] if any(keys) else []),
        tag(
            "details",
            tag("summary", "Recorded, but never compared"),
            definitions(_merged(options)),
        )
        if any(options)
        else None,
    )


def _last_run(sweep: SweepResult) -> str:
    """Return what the last invocation of the sweep drew, saved and took."""
    rows = sweep.work.unet_rows
    parts = [sweep.counts.outcomes]
    if 0 < rows.done < rows.alone:
        parts.append(f"{rows.done} of {rows.alone} UNet rows, because cells shared work")
    return "; ".join([*filter(None, parts), time_taken(sweep)])


def _weights(cells: Cells) -> Html:
    """Return all weights, each once, with the licence that its card states."""
    rows: dict[tuple[str, str], tuple[object, ...]] = {}
    for row in cells:
        about = row.provenance
        for kind, weights in (("model", about.models), ("adapter", about.adapters)):
            for name, found in weights.items():
                rows[kind, name] = (kind, name, found.license, _digest(found.digest))
        for name, digest in about.prompt_sets.items():
            rows["prompts", name] = ("prompts", name, "", _digest(digest))
        for digest, source in (about.sources or {}).items():
            rows["source", digest] = ("source image", source.name, "", _digest(digest))
    heads = [Heading(name) for name in ("kind", "name", "licence", "sha256")]
    return table(heads, rows.values())


def _digest(text: str) -> Html:
    return tag("code", text[:16], title=text)


def _merged(found: Sequence[Mapping[str, object]]) -> list[tuple[str, object]]:
    """Merge the keys of several environments; values that differ are shown next to each other."""
    names = dict.fromkeys(name for keys in found for name in keys)
    return [
        (name, " / ".join(dict.fromkeys(str(keys.get(name, "\N{EN DASH}")) for keys in found)))
        for name in names
    ]
