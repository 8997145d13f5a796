"""``turbo-lab bench``: the timing lane of a grid, or two pipelines against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from turbo_lab.cli.options import (
    GridCommand,
    grid_options,
    html_option,
    json_option,
    with_hydra,
    words_argument,
)
from turbo_lab.errors import InputError


@click.command("bench", cls=GridCommand)
@html_option
@json_option
@grid_options
@words_argument("[MODEL MODEL] [KEY=VALUE]...")
def command(words: tuple[str, ...], html: Path | None, as_json: bool, **hydra: Any) -> int:
    """Measure latency: every cell of a grid, or two pipelines interleaved in one process.

    \b
    turbo-lab bench batch_size=1,8,32 timing=full
    turbo-lab bench nano-turbo nano-sdxl num_images=1
    turbo-lab bench candidate.quantization=int8wo
    """
    from turbo_lab import config
    from turbo_lab.compare.latency import bench_cells, bench_pair, is_pair

    arguments = with_hydra(words, hydra)
    if is_pair(words):
        if html is not None:
            raise InputError(f"--html {html}: bench writes a page for a grid, not for a pair")
        return bench_pair(arguments, as_json)
    points = config.compose("bench", arguments)
    return bench_cells(points, as_json, None if html is None else str(html)) if points else 0
