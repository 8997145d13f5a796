"""Tables for the terminal and for Markdown, drawn from JSON documents.

Owns what a person reads after a command. Takes the documents of ``plan``,
``sweep`` and ``models`` as plain dicts, so that a table can be drawn again
from a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from turbo_lab.report.text.terminal import open_console
from turbo_lab.store.record import CellStatus
from turbo_lab.verdict import Direction

_MAX_PLAN_ROWS = 20
# The figures of a sweep's table, in order; further metrics follow by name.
_FIRST_METRICS = ("clip_score", "r_precision")


@dataclass(frozen=True)
class _Column:
    """One figure column."""

    title: str
    """Heading."""
    values: tuple[float | None, ...]
    """One a cell; ``None`` where there is none."""
    texts: tuple[str, ...]
    """As shown."""
    direction: Direction
    """Values that are better."""

    def best(self) -> set[int]:
        """Rows with the best value; empty if fewer than two can be compared."""
        known = {i: v for i, v in enumerate(self.values) if v is not None and math.isfinite(v)}
        if self.direction == Direction.NONE or len(known) < 2:
            return set()
        pick = max if self.direction == Direction.HIGHER else min
        target = pick(known.values())
        return {i for i, v in known.items() if v == target}


def sweep_table(document: Mapping[str, Any], console: Console | None = None) -> None:
    """Print cells x figures; the best of each column is green and starred."""
    console = console or open_console()
    axes, columns, notes = _sweep_columns(document["cells"])
    console.print(_sweep_title(document), style="italic", highlight=False, soft_wrap=True)
    table = Table(header_style="bold")
    for name in axes:
        table.add_column(_short(name), overflow="fold")
    table.add_column("status")
    for column in columns:
        table.add_column(column.title, justify="right")
    stars = [column.best() for column in columns]
    for row, cell in enumerate(document["cells"]):
        figures = [
            f"[bold green]{column.texts[row]}*[/]" if row in best else column.texts[row]
            for column, best in zip(columns, stars, strict=True)
        ]
        style = {CellStatus.FAILED: "red", CellStatus.REUSED: "dim"}.get(cell["status"], "")
        status = f"[{style}]{cell['status']}[/]" if style else cell["status"]
        table.add_row(*(escape(str(cell["axes"].get(name, ""))) for name in axes), status, *figures)
    console.print(table)
    for note in notes:
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)


def markdown_table(document: Mapping[str, Any]) -> str:
    """The same table as GitHub-flavoured Markdown, best in bold."""
    axes, columns, notes = _sweep_columns(document["cells"])
    head = [*(_short(name) for name in axes), *(column.title for column in columns)]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    stars = [column.best() for column in columns]
    for row, cell in enumerate(document["cells"]):
        figures = [
            f"**{c.texts[row]}**" if row in best else c.texts[row]
            for c, best in zip(columns, stars, strict=True)
        ]
        values = [str(cell["axes"].get(name, "")) for name in axes]
        lines.append(f"| {' | '.join([*values, *figures])} |")
    return "\n".join([*lines, "", *notes]) + "\n"


def _sweep_columns(
    cells: Sequence[Mapping[str, Any]],
) -> tuple[list[str], list[_Column], list[str]]:
    """Axis names, figure columns and footnotes."""
    axes = list(dict.fromkeys(name for cell in cells for name in cell["axes"]))
    names = list(dict.fromkeys(name for cell in cells for name in cell["metrics"]))
    ordered = [n for n in _FIRST_METRICS if n in names]
    ordered += [n for n in names if n not in ordered]
    notes: dict[str, str] = {}
    columns = [_metric_column(name, cells, notes) for name in ordered]
    if any(cell["latency_s"] for cell in cells):
        columns += [_latency_column(cells), _throughput_column(cells)]
        busy = {w for c in cells for w in (c["timing"] or {}).get("warnings", ()) if "busy" in w}
        if busy:
            notes[f"latency: {sorted(busy)[0]}"] = "!"
    return axes, columns, [f"{mark} {text}" for text, mark in notes.items()]


def _metric_column(name: str, cells: Sequence[Mapping[str, Any]], notes: dict[str, str]) -> _Column:
    figures = [cell["metrics"].get(name) for cell in cells]
    texts = []
    for figure in figures:
        if figure is None:
            texts.append("-")
            continue
        # The note says why there is none.
        text = "-" if figure["value"] is None else _number(figure["value"])
        if figure["value"] is not None and figure["ci95"] is not None:
            text += _interval(figure["value"], *figure["ci95"])
        if figure["note"]:
            text += f" {notes.setdefault(f'{name}: ' + figure['note'], f'({len(notes) + 1})')}"
        texts.append(text)
    direction = next((Direction(f["direction"]) for f in figures if f), Direction.NONE)
    values = tuple(None if f is None else f["value"] for f in figures)
    arrow = {Direction.HIGHER: " ↑", Direction.LOWER: " ↓"}.get(direction, "")
    return _Column(f"{name}{arrow}", values, tuple(texts), direction)


def _interval(value: float, low: float, high: float) -> str:
    """``±half`` where the interval lies about its value; else its ends."""
    half = (high - low) / 2
    if abs((high + low) / 2 - value) <= 0.25 * half:
        return f" ±{half:.2g}"
    return f" [{low:.3g}, {high:.3g}]"


def _latency_column(cells: Sequence[Mapping[str, Any]]) -> _Column:
    rows = [cell["latency_s"] for cell in cells]
    texts = tuple("-" if r is None else f"{r['p50'] * 1e3:.4g} (n={r['n']})" for r in rows)
    return _Column("p50 ms ↓", tuple(r and r["p50"] for r in rows), texts, Direction.LOWER)


def _throughput_column(cells: Sequence[Mapping[str, Any]]) -> _Column:
    values = tuple(cell["throughput_images_per_s"] for cell in cells)
    texts = tuple("-" if v is None else f"{v:.3g}" for v in values)
    return _Column("images/s ↑", values, texts, Direction.HIGHER)


def _sweep_title(document: Mapping[str, Any]) -> str:
    counts, work = document["counts"], document["work"]["unet_rows"]
    parts = [f"{counts['distinct']} cell{'s' if counts['distinct'] != 1 else ''}"]
    if counts["requested"] != counts["distinct"]:
        parts[0] += f" ({counts['requested']} requested, equal ones merged)"
    parts += [f"{counts[k]} {k}" for k in CellStatus if counts[k]]
    if counts["done"]:
        parts.append(f"{work['done']} of {work['alone']} UNet rows")
        parts.append(f"{document['wall_s']:.1f} s + {document['load_s']:.1f} s loading")
    return ", ".join(parts)


def bench_table(cells: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print latency and its stages; milliseconds a call."""
    console = console or open_console()
    axes = list(dict.fromkeys(name for cell in cells for name in cell["axes"]))
    table = Table(title="milliseconds a call", title_justify="left", header_style="bold")
    for name in axes:
        table.add_column(_short(name))
    stages = ("text", "unet", "vae", "post", "other")
    for title in ("p50", "95% interval", "n", "first", *stages, "images/s", "peak MiB"):
        table.add_column(title, justify="right")
    for cell in cells:
        where = [escape(str(cell["axes"].get(name, ""))) for name in axes]
        latency = cell["latency_s"]
        if latency is None:
            table.add_row(*where, "[red]failed[/]", escape(cell["error"] or ""))
            continue
        low, high = latency["ci95"] or (math.nan, math.nan)
        table.add_row(
            *where,
            f"{latency['p50'] * 1e3:.4g}",
            f"{low * 1e3:.4g} to {high * 1e3:.4g}",
            str(latency["n"]),
            f"{cell['first_call_s'] * 1e3:.4g}",
            *(f"{cell['stages_s'][stage] * 1e3:.3g}" for stage in stages),
            f"{cell['throughput_images_per_s']:.3g}",
            f"{cell['peak_memory_bytes'] / 2**20:.0f}",
        )
    console.print(table)
    for cell in cells:
        if len(steps := cell.get("unet_steps_s") or ()) > 1:
            axes_text = " ".join(f"{_short(k)}={v}" for k, v in cell["axes"].items())
            each = ", ".join(f"{value * 1e3:.3g}" for value in steps)
            console.print(f"UNet, step by step (ms) {axes_text}: {each}", markup=False)
    for warning in dict.fromkeys(w for cell in cells for w in cell.get("warnings", ())):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)


def plan_table(document: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a plan: counts, work, forecast and the first cells."""
    console = console or open_console()
    counts = document["counts"]
    console.print(
        f"{counts['requested']} requested, {counts['distinct']} distinct, "
        f"{counts['in_store']} in the store, {counts['to_run']} to run",
        highlight=False,
    )
    table = Table(header_style="bold")
    for title in ("rows", "each cell alone", "planned", "saved"):
        table.add_column(title, justify="left" if title == "rows" else "right")
    for name, count in document["work"].items():
        saved = 1 - count["planned"] / count["alone"] if count["alone"] else 0.0
        table.add_row(name, str(count["alone"]), str(count["planned"]), f"{saved:.0%}")
    console.print(table)
    forecast = ", ".join(
        f"{name} {'not known' if value is None else _number(value)}"
        for name, value in document["forecast"].items()
    )
    console.print(f"forecast: {forecast}", highlight=False)
    for cell in document["cells"][:_MAX_PLAN_ROWS]:
        axes = " ".join(f"{k}={v}" for k, v in cell["axes"].items()) or "(one cell)"
        same = f"  (= {len(cell['aliases'])} more)" if cell["aliases"] else ""
        console.print(f"  {cell['status']:8}  {axes}{same}", highlight=False, markup=False)
    if len(document["cells"]) > _MAX_PLAN_ROWS:
        console.print(f"  … and {len(document['cells']) - _MAX_PLAN_ROWS} more", highlight=False)


def models_table(rows: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print what can be run."""
    table = Table(header_style="bold")
    columns = ("name", "kind", "status", "license", "title")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(row[column])) for column in columns))
    (console or open_console()).print(table)


def model_card_text(card: Mapping[str, Any], console: Console | None = None) -> None:
    """Print one card, a field a line, figures last."""
    console = console or open_console()
    for key, value in card.items():
        if key == "figures" or value is None:
            continue
        console.print(f"{key:>16}  {value}", highlight=False, markup=False, soft_wrap=True)
    figures = card.get("figures") or {}
    for name in sorted(figures, key=_by_steps):
        figure = figures[name]
        interval, note = figure.get("ci95"), figure.get("note")
        shown = f" [{_number(interval[0])}, {_number(interval[1])}]" if interval else ""
        value = "unscored" if figure["value"] is None else _number(figure["value"])
        told = f"; {note}" if note else ""
        console.print(
            f"{name:>16}  {value}{shown} {figure['unit']} (n={figure['n']}{told})",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _by_steps(name: str) -> tuple[str, list[float]]:
    """``r_precision@2`` before ``r_precision@25``, and after all of another figure."""
    figure, _, where = name.partition("@")
    return figure, [float(number) for number in re.findall(r"[\d.]+", where)]


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"


def _short(axis: str) -> str:
    """Shorter headings for the two longest names."""
    return {"num_inference_steps": "steps", "guidance_scale": "guidance"}.get(axis, axis)
