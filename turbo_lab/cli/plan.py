"""``turbo-lab plan``: what a sweep would run, and what it shares."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.hydra_flags import grid_options, with_hydra
from turbo_lab.cli.options import json_option
from turbo_lab.documents.output import print_document
from turbo_lab.planning.resolved_sweep import plan_result, resolve_points
from turbo_lab.workflows.settings import resolve_metric_context

if TYPE_CHECKING:
    from turbo_lab.config import GridPoint


@click.command("plan", cls=GridCommand)
@json_option
@grid_options
@words_argument()
def command(words: tuple[str, ...], as_json: bool, **hydra: Any) -> int:
    """Show what a sweep would run, reuse and share, without generating an image.

    \b
    turbo-lab plan num_inference_steps=1,2,4 guidance_scale=0,2
    """
    from turbo_lab import config
    from turbo_lab.api.selection import compose_points

    points = compose_points("plan", config.with_default_sweep(with_hydra(words, hydra)))
    return plan_points(points, as_json) if points else 0


def plan_points(points: Sequence[GridPoint], as_json: bool) -> int:
    """Plan a grid, print the plan and return the exit code."""
    sweep = resolve_points(points, may_lack_weights=True)
    resolve_metric_context(sweep)
    result = plan_result(sweep)
    for text in result.warnings:
        print(f"warning: {text}", file=sys.stderr)
    if as_json:
        print_document("plan", result)
    else:
        from turbo_lab.report.text.tables import plan_table

        plan_table(result)
    return 0
