"""Tables of ``sweep``, ``bench``, ``plan`` and ``models`` for the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields

from rich.console import Console
from rich.markup import escape

from turbo_lab.analysis.digits import significant
from turbo_lab.cards.packaged import kind_word
from turbo_lab.documents.models import ModelMetric, ModelRow, ModelShown
from turbo_lab.documents.plan import Forecast, PlanResult
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.documents.timing import BenchCell
from turbo_lab.metrics.skills import rows_by_skill
from turbo_lab.progress import duration
from turbo_lab.report.brief import brief_table
from turbo_lab.report.columns import all_axes, distinct, energy_texts, short_axis, stage_names
from turbo_lab.report.sentences import bench_notes, mebibytes, per_call, time_taken
from turbo_lab.report.text.layout import Head, number_heads, print_table
from turbo_lab.report.text.terminal import open_console
from turbo_lab.store.record import CellStatus
from turbo_lab.untrusted.typed_json import to_plain

_MAX_PLAN_ROWS = 20
_STATUS_STYLES = {CellStatus.FAILED: "red", CellStatus.REUSED: "dim"}


def sweep_table(sweep: SweepResult, console: Console | None = None) -> None:
    """Print one row per cell; the best value of each column is green and starred."""
    console = console or open_console()
    for line in (_sweep_title(sweep), time_taken(sweep)):
        console.print(line, style="italic", highlight=False, soft_wrap=True)
    _cells_table(sweep.cells, console)


def skills_table(sweep: SweepResult, console: Console | None = None) -> None:
    """Print one row per cell and skill, if the prompts name skills."""
    console = console or open_console()
    if rows := rows_by_skill(sweep.cells):
        console.print("\nby skill", style="italic", highlight=False)
        _cells_table(rows, console)


def _cells_table(cells: Sequence[CellResult], console: Console) -> None:
    found = brief_table(cells)
    rows = []
    for cell, row in zip(cells, found.rows, strict=True):
        values = [f"[bold green]{one.text}*[/]" if one.is_best else one.text for one in row]
        style = _STATUS_STYLES.get(cell.status)
        status = str(cell.status) if style is None else f"[{style}]{cell.status}[/]"
        axes = (escape(str(cell.axes.get(name, ""))) for name in found.axes)
        rows.append([*axes, status, *values])
    heads = [Head(short_axis(name)) for name in found.axes]
    heads += [Head("status"), *number_heads(*found.headings)]
    print_table(console, heads, rows, num_keys=max(1, len(found.axes)), is_boxed=True)
    for note in found.notes:
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)


def _sweep_title(sweep: SweepResult) -> str:
    counts, work = sweep.counts, sweep.work
    parts = [f"{counts.distinct} cell{'s' if counts.distinct != 1 else ''}"]
    if counts.requested != counts.distinct:
        parts[0] += f" ({counts.requested} requested; equal cells merged)"
    parts += [counts.outcomes] if counts.outcomes else []
    if counts.done:
        parts.append(f"{work.unet_rows.done} of {work.unet_rows.alone} UNet rows")
    return ", ".join(parts)


def bench_table(cells: Sequence[BenchCell], console: Console | None = None) -> None:
    """Print latency, throughput, memory and the stages, in milliseconds per call."""
    console = console or open_console()
    axes = all_axes(cells)
    timed = [(cell, cell.timing) for cell in cells if cell.timing is not None]
    metered = [timing.energy for _, timing in timed if timing.energy is not None]
    energy = ("J/image", "95% J") if metered else ()
    heads = [Head(short_axis(name)) for name in axes]
    heads += number_heads("p50", "95% interval", "n", "first", "images/s", "peak MiB", *energy)
    stages = stage_names(timing for _, timing in timed)
    heads += number_heads(*stages)
    rows = [
        [
            *(escape(str(cell.axes.get(name, ""))) for name in axes),
            *_bench_row(cell, stages, bool(metered)),
        ]
        for cell in cells
    ]
    title = f"milliseconds {per_call(timing.batch_size for _, timing in timed)}"
    console.print(title, style="italic", highlight=False)
    print_table(console, heads, rows, num_keys=len(axes), is_boxed=True)
    for line in bench_notes(cells):
        console.print(line, markup=False, highlight=False)
    for warning in distinct(w for _, timing in timed for w in timing.warnings):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)


def _bench_row(cell: BenchCell, names: Sequence[str], is_metered: bool) -> list[str]:
    latency, timing = cell.latency_s, cell.timing
    if latency is None or timing is None:
        return ["[red]failed[/]", *[""] * (len(names) + (7 if is_metered else 5))]
    low, high = latency.ci95 or (math.nan, math.nan)
    stages = timing.stages_s or {}
    energy = energy_texts(timing.energy) or ("-", "-")
    return [
        significant(latency.p50 * 1e3),
        f"{significant(low * 1e3)} to {significant(high * 1e3)}",
        str(latency.n),
        significant(timing.first_call_s * 1e3),
        significant(timing.throughput_images_per_s, 3),
        f"{timing.peak_memory_bytes / 2**20:.0f}",
        *(energy if is_metered else ()),
        *(significant(stages[stage] * 1e3, 3) if stage in stages else "-" for stage in names),
    ]


def plan_table(plan: PlanResult, console: Console | None = None) -> None:
    """Print the counts, work and forecast of a plan, and its first cells."""
    console = console or open_console()
    counts = plan.counts
    console.print(
        f"{counts.requested} requested, {counts.distinct} distinct, "
        f"{counts.in_store} in the store, {counts.to_run} to run",
        highlight=False,
    )
    work, rows = plan.work, []
    counted = {"UNet": work.unet_rows, "VAE": work.vae_rows, "text": work.text_rows}
    if work.source_rows is not None:
        counted["source"] = work.source_rows
    for name, count in counted.items():
        saved = 1 - count.planned / count.alone if count.alone else 0.0
        rows.append([name, str(count.alone), str(count.planned), f"{saved:.0%}"])
    heads = [Head("rows"), *number_heads("each cell alone", "planned", "saved")]
    print_table(console, heads, rows, is_boxed=True)
    console.print(f"forecast: {_forecast(plan.forecast)}", highlight=False)
    for cell in plan.cells[:_MAX_PLAN_ROWS]:
        axes = " ".join(f"{k}={v}" for k, v in cell.axes.items()) or "(one cell)"
        equal = len(cell.aliases)
        same = f"  (+{equal} equal {'cell' if equal == 1 else 'cells'})" if equal else ""
        console.print(f"  {cell.status:8}  {axes}{same}", highlight=False, markup=False)
    if len(plan.cells) > _MAX_PLAN_ROWS:
        console.print(f"  … and {len(plan.cells) - _MAX_PLAN_ROWS} more", highlight=False)


def _forecast(forecast: Forecast) -> str:
    wall_s, peak, disk = forecast.wall_s, forecast.peak_memory_bytes, forecast.disk_bytes
    return ", ".join(
        [
            "time unknown" if wall_s is None else duration(wall_s),
            "peak memory unknown" if peak is None else f"{mebibytes(peak)} peak memory",
            "disk space unknown" if disk is None else f"{mebibytes(disk)} disk space",
        ]
    )


def models_table(rows: Sequence[ModelRow], console: Console | None = None) -> None:
    """Print all models, adapters and shared parts."""
    heads = [Head(name) for name in ("name", "kind", "status")]
    heads += [Head("license", wraps=True), Head("title", wraps=True)]
    texts = [
        [
            escape(text)
            for text in (row.name, kind_word(row.kind), row.status, row.license, row.title)
        ]
        for row in rows
    ]
    print_table(console or open_console(), heads, texts)


def model_card_text(card: ModelShown, console: Console | None = None) -> None:
    """Print one card, one value per line, its metrics last."""
    rows: list[tuple[str, str]] = []
    for one in fields(card):
        value = getattr(card, one.name)
        if one.name != "figures" and value is not None:
            rows += _card_rows(
                one.name, kind_word(value) if one.name == "kind" else to_plain(value)
            )
    metrics = card.figures or {}
    rows += [(name, _card_metric(metrics[name])) for name in sorted(metrics, key=_by_steps)]
    width = max(len(name) for name, _ in rows)
    console = console or open_console()
    for name, shown in rows:
        console.print(f"{name:>{width}}  {shown}", highlight=False, markup=False, soft_wrap=True)


def _card_rows(name: str, value: object) -> list[tuple[str, str]]:
    """Return the lines of one field; the entries of an object get a line each."""
    if isinstance(value, Mapping):
        return [
            (f"{name}.{key.lstrip('_')}", str(item))
            for key, item in value.items()
            if item is not None
        ]
    return [(name, str(value))]


def _card_metric(metric: ModelMetric) -> str:
    value = "unscored" if metric.value is None else significant(metric.value)
    interval = metric.ci95
    shown = "" if interval is None else f" [{significant(interval[0])}, {significant(interval[1])}]"
    note = f"; {metric.note}" if metric.note else ""
    return f"{value}{shown} {metric.unit} (n={metric.n}{note})"


def _by_steps(name: str) -> tuple[str, list[float]]:
    """Return a sort key that puts ``r_precision@2`` before ``r_precision@25``."""
    metric, _, where = name.partition("@")
    return metric, [float(number) for number in re.findall(r"[\d.]+", where)]
