"""Tables of ``sweep``, ``bench``, ``plan`` and ``models`` for the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from turbo_lab.analysis.digits import significant
from turbo_lab.documents.models import ModelMetric, ModelRow, ModelShown
from turbo_lab.documents.plan import Forecast, PlanResult
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.documents.timing import BenchCell, CellTiming
from turbo_lab.progress import duration
from turbo_lab.report.brief import brief_table
from turbo_lab.report.columns import METHODS, all_axes, distinct, energy_texts, short_axis
from turbo_lab.report.sentences import time_taken
from turbo_lab.report.text.terminal import open_console
from turbo_lab.store.record import CellStatus
from turbo_lab.untrusted.typed_json import to_plain

_MAX_PLAN_ROWS = 20
_STAGES = ("text", "unet", "vae", "post", "other")
_STATUS_STYLES = {CellStatus.FAILED: "red", CellStatus.REUSED: "dim"}


def sweep_table(sweep: SweepResult, console: Console | None = None) -> None:
    """Print one row per cell; the best value of each column is green and starred."""
    console = console or open_console()
    found = brief_table(sweep.cells)
    for line in (_sweep_title(sweep), time_taken(sweep)):
        console.print(line, style="italic", highlight=False, soft_wrap=True)
    table = Table(header_style="bold")
    for name in found.axes:
        table.add_column(short_axis(name), overflow="fold")
    table.add_column("status")
    for heading in found.headings:
        table.add_column(heading, justify="right")
    for cell, row in zip(sweep.cells, found.rows, strict=True):
        values = [f"[bold green]{one.text}*[/]" if one.is_best else one.text for one in row]
        style = _STATUS_STYLES.get(cell.status)
        status = str(cell.status) if style is None else f"[{style}]{cell.status}[/]"
        axes = (escape(str(cell.axes.get(name, ""))) for name in found.axes)
        table.add_row(*axes, status, *values)
    console.print(table)
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
    """Print latency and its stages, in milliseconds per call."""
    console = console or open_console()
    axes = all_axes(cells)
    table = Table(title="milliseconds per call", title_justify="left", header_style="bold")
    for name in axes:
        table.add_column(short_axis(name))
    timed = [(cell, cell.timing) for cell in cells if cell.timing is not None]
    metered = [timing.energy for _, timing in timed if timing.energy is not None]
    energy = ("J/image", "95% J") if metered else ()
    for title in ("p50", "95% interval", "n", "first", *_STAGES, "images/s", "peak MiB", *energy):
        table.add_column(title, justify="right")
    for cell in cells:
        where = [escape(str(cell.axes.get(name, ""))) for name in axes]
        table.add_row(*where, *_bench_row(cell))
    console.print(table)
    if metered:
        ways = " and ".join(dict.fromkeys(METHODS[one.method] for one in metered))
        console.print(f"J/image: by {ways}, before and after each block of calls", style="dim")
    for cell, timing in timed:
        if len(steps := timing.unet_steps_s or ()) > 1:
            axes_text = " ".join(f"{short_axis(k)}={v}" for k, v in cell.axes.items())
            each = ", ".join(significant(value * 1e3, 3) for value in steps)
            console.print(
                f"UNet time per step, ms ({axes_text or 'one cell'}): {each}", markup=False
            )
        if parts := _preparation(timing):
            axes_text = " ".join(f"{short_axis(k)}={v}" for k, v in cell.axes.items())
            console.print(
                f"{' and '.join(parts)} ({axes_text or 'one cell'})", markup=False, highlight=False
            )
    for warning in distinct(w for _, timing in timed for w in timing.warnings):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)


def _preparation(timing: CellTiming) -> list[str]:
    """Return what compiling and capturing took."""
    parts = []
    if timing.compile_s is not None:
        parts.append(f"compiling took {timing.compile_s:.3g} s of the first call")
    if timing.graph_pool_bytes is not None:
        parts.append(f"CUDA graphs take {_mebibytes(timing.graph_pool_bytes)}")
    return parts


def _bench_row(cell: BenchCell) -> list[str]:
    latency, timing = cell.latency_s, cell.timing
    if latency is None or timing is None:
        return ["[red]failed[/]", escape(cell.error or "")]
    low, high = latency.ci95 or (math.nan, math.nan)
    stages = timing.stages_s or {}
    return [
        significant(latency.p50 * 1e3),
        f"{significant(low * 1e3)} to {significant(high * 1e3)}",
        str(latency.n),
        significant(timing.first_call_s * 1e3),
        *(significant(stages[stage] * 1e3, 3) if stage in stages else "-" for stage in _STAGES),
        significant(timing.throughput_images_per_s, 3),
        f"{timing.peak_memory_bytes / 2**20:.0f}",
        *energy_texts(timing.energy),
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
    table = Table(header_style="bold")
    for title in ("rows", "each cell alone", "planned", "saved"):
        table.add_column(title, justify="left" if title == "rows" else "right")
    work = plan.work
    for name, count in (("UNet", work.unet_rows), ("VAE", work.vae_rows), ("text", work.text_rows)):
        saved = 1 - count.planned / count.alone if count.alone else 0.0
        table.add_row(name, str(count.alone), str(count.planned), f"{saved:.0%}")
    console.print(table)
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
            "peak memory unknown" if peak is None else f"{_mebibytes(peak)} peak memory",
            "disk space unknown" if disk is None else f"{_mebibytes(disk)} disk space",
        ]
    )


def _mebibytes(num_bytes: float) -> str:
    return f"{num_bytes / 2**20:.3g} MiB" if num_bytes < 2**30 else f"{num_bytes / 2**30:.3g} GiB"


def models_table(rows: Sequence[ModelRow], console: Console | None = None) -> None:
    """Print all models, adapters and shared parts."""
    table = Table(header_style="bold")
    for column in ("name", "kind", "status", "license", "title"):
        table.add_column(column, overflow="fold")
    for row in rows:
        texts = (row.name, _kind(row.kind), row.status, row.license, row.title)
        table.add_row(*(escape(text) for text in texts))
    (console or open_console()).print(table)


def _kind(kind: str) -> str:
    """Return the glossary's word for a card's kind; cards keep ``judge``, which is older."""
    return "extractor" if kind == "judge" else kind


def model_card_text(card: ModelShown, console: Console | None = None) -> None:
    """Print one card, one value per line, its metrics last."""
    rows: list[tuple[str, str]] = []
    for one in fields(card):
        value = getattr(card, one.name)
        if one.name != "figures" and value is not None:
            rows += _card_rows(one.name, _kind(value) if one.name == "kind" else to_plain(value))
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
