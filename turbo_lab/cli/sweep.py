"""``turbo-lab sweep``: run a grid, measure it and show what came out."""

from __future__ import annotations

from typing import Any

import click

from turbo_lab.cli.options import GridCommand, grid_options, json_option, with_hydra, words_argument


@click.command("sweep", cls=GridCommand)
@json_option
@grid_options
@words_argument()
def command(words: tuple[str, ...], as_json: bool, **hydra: Any) -> int:
    """Run a grid and show its results; without an axis, the default sweep.

    \b
    turbo-lab sweep num_inference_steps=1,2,4 lora=none,ink@0.8 prompts=scenes-demo
    """
    from turbo_lab import config
    from turbo_lab.workflows.sweep import run_points

    points = config.compose("sweep", with_default_sweep(with_hydra(words, hydra)))
    return run_points("sweep", points, as_json) if points else 0


def with_default_sweep(words: list[str]) -> list[str]:
    """Add the default sweep where no axis and no preset is named."""
    from turbo_lab.config import is_grid_named

    asks_hydra = "--hydra-help" in words
    return words if asks_hydra or is_grid_named(words) else [*words, "sweep=default"]
