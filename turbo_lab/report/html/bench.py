"""HTML page of ``bench``: latency along each axis with its fitted line, and the table."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.analysis.digits import significant
from turbo_lab.analysis.latency_fit import UNITS, LineFit, place
from turbo_lab.documents.timing import BenchCell, BenchResult
from turbo_lab.report.columns import all_axes, distinct, energy_texts, short_axis, stage_names
from turbo_lab.report.html.page import Heading, Html, page, section, table, tag
from turbo_lab.report.html.svg import chart, line, mark, path, plot_area
from turbo_lab.report.sentences import bench_notes, per_call
from turbo_lab.store.record import LatencySummary

Cells = Sequence[BenchCell]


def bench_report(result: BenchResult) -> str:
    """Return the HTML page about the timed cells and the lines fitted to them."""
    timed = [cell for cell in result.cells if cell.timing is not None]
    warnings = distinct(w for cell in timed if cell.timing for w in cell.timing.warnings)
    plots = [_plot(timed, fit) for fit in result.fits]
    parts = [
        section("scaling", "Scaling", tag("div", *plots, class_="plots")) if plots else None,
        section("latency", f"Milliseconds {_call(timed)}", _table(timed)),
        _listed("notes", "Notes", bench_notes(result.cells)),
        _listed("warnings", "Warnings", warnings),
    ]
    status = "complete" if len(timed) == len(result.cells) else "incomplete"
    shown = [part for part in parts if part is not None]
    return page("Latency", status, *shown, kind="bench", scripts=("tips",))


def _listed(identity: str, title: str, texts: Sequence[str]) -> Html | None:
    """Return a section with one line per text; ``None`` if there is none."""
    items = [tag("li", text) for text in texts]
    return section(identity, title, tag("ul", *items)) if items else None


def _call(cells: Cells) -> str:
    return per_call(cell.timing.batch_size for cell in cells if cell.timing is not None)


def _plot(cells: Cells, fit: LineFit) -> Html:
    members = [
        cell
        for cell in cells
        if all(cell.axes.get(key) == value for key, value in fit.where.items())
    ]
    size = UNITS[fit.axis][1]
    at = [(place(fit.axis, cell) or 0.0) / size for cell in members]
    ends = [_ends(cell.latency_s) for cell in members if cell.latency_s is not None]
    drawn = [(x, 1e3 * (fit.fixed_s + fit.per_unit_s * x)) for x in (0.0, max(at))]
    reach = [ms for low, _, high in ends for ms in (low, high)] + [ms for _, ms in drawn]
    x, y = plot_area([0.0, *at], [0.0, *reach])
    marks = [path([(x(left), y(top)) for left, top in drawn], class_="median-line")]
    for left, (low, middle, high) in zip(at, ends, strict=True):
        whisker = line(x(left), y(low), x(left), y(high), class_="ci")
        dot = tag("circle", cx=x(left), cy=y(middle), r=3.5)
        marks.append(mark(f"{significant(middle)} ms", whisker, dot, class_="point s0"))
    where = ", ".join(f"{short_axis(key)} {value}" for key, value in fit.where.items())
    caption = f"{short_axis(fit.axis)}{' at ' if where else ''}{where}: {fit.text}"
    unit = "1,000 pixels" if fit.axis == "resolution" else short_axis(fit.axis)
    ticks = sorted(set(at)) if len(at) <= 8 else None
    return tag(
        "figure",
        tag("figcaption", caption),
        chart(x, y, x_title=unit, y_title="p50 ms", marks=marks, x_ticks=ticks),
        class_="plot",
    )


def _ends(latency: LatencySummary) -> tuple[float, float, float]:
    low, high = latency.ci95 or (latency.p50, latency.p50)
    return 1e3 * low, 1e3 * latency.p50, 1e3 * high


def _table(cells: Cells) -> Html:
    axes = all_axes(cells)
    heads = [Heading(short_axis(name)) for name in axes]
    is_metered = any(cell.timing is not None and cell.timing.energy for cell in cells)
    energy = ("J/image", "95% J") if is_metered else ()
    stages = stage_names(cell.timing for cell in cells if cell.timing is not None)
    measured = ("p50", "95% interval", "n", "first", "images/s", "peak MiB", *energy, *stages)
    heads += [Heading(name, is_number=True) for name in measured]
    return table(heads, [_row(cell, axes, stages, is_metered) for cell in cells])


def _row(
    cell: BenchCell, axes: Sequence[str], names: Sequence[str], is_metered: bool
) -> tuple[object, ...]:
    latency, timing = cell.latency_s, cell.timing
    assert latency is not None and timing is not None  # failed cells are not in the table
    stages = timing.stages_s or {}
    low, _, high = _ends(latency)
    dashes = ("\N{EN DASH}", "\N{EN DASH}")
    energy = (energy_texts(timing.energy) or dashes) if is_metered else ()
    interval = f"{significant(low)} to {significant(high)}" if latency.ci95 else "\N{EN DASH}"
    return (
        *(str(cell.axes.get(name, "")) for name in axes),
        significant(1e3 * latency.p50),
        interval,
        latency.n,
        significant(1e3 * timing.first_call_s),
        significant(timing.throughput_images_per_s, 3),
        f"{timing.peak_memory_bytes / 2**20:.0f}",
        *energy,
        *(significant(1e3 * stages[one], 3) if one in stages else "\N{EN DASH}" for one in names),
    )
