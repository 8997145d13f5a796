"""``turbo-lab bench``: the latency of a grid, or of two pipelines against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.hydra_flags import grid_options, with_hydra
from turbo_lab.cli.keep import check_history, keep
from turbo_lab.cli.options import history_option, html_option, json_option
from turbo_lab.errors import InputError

if TYPE_CHECKING:
    from turbo_lab.documents.timing import BenchResult


@click.command("bench", cls=GridCommand)
@html_option
@history_option
@json_option
@grid_options
@words_argument("[MODEL MODEL] [KEY=VALUE]...")
def command(
    words: tuple[str, ...],
    html: Path | None,
    history: Path | None,
    as_json: bool,
    **hydra: Any,
) -> int:
    """Measure latency: every cell of a grid, or two pipelines interleaved in one process.

    \b
    turbo-lab bench batch_size=1,8,32 timing=full
    turbo-lab bench nano-turbo nano-sdxl num_images=1
    turbo-lab bench candidate.quantization=int8wo
    """
    from turbo_lab.api.selection import compose_points
    from turbo_lab.cli.bench_pair import is_pair, time_pair
    from turbo_lab.compare.latency import time_cells
    from turbo_lab.planning.resolved_sweep import resolve_points
    from turbo_lab.store.record import CellStatus

    check_history(history)
    arguments = with_hydra(words, hydra)
    if is_pair(words):
        if html is not None:
            raise InputError(f"--html {html}: bench writes a page for a grid, not for a pair")
        keep(history, time_pair(arguments, as_json))
        return 0
    points = compose_points("bench", arguments)
    if not points:
        return 0  # one of Hydra's own flags printed something instead
    result = time_cells(resolve_points(points), words)
    _print(result, as_json, html)
    keep(history, result)
    return 3 if any(cell.status == CellStatus.FAILED for cell in result.cells) else 0


def _print(result: BenchResult, as_json: bool, html: Path | None) -> None:
    """Print the cells as a table, and write the page."""
    from turbo_lab.documents.output import print_document, write_text

    if as_json:
        print_document("bench", result)
    else:
        from turbo_lab.report.text.tables import bench_table

        bench_table(result.cells)
        for fit in result.fits:
            where = " ".join(f"{key}={value}" for key, value in fit.where.items())
            print(f"fit along {fit.axis}{' at ' if where else ''}{where}: {fit.text}")
    if html is not None:
        from turbo_lab.report.html.bench import bench_report

        write_text(html, bench_report(result), "--html")
