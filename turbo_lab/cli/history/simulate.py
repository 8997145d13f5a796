"""``turbo-lab history simulate``: how often the tests of a history raise a false alarm."""

from __future__ import annotations

import click

from turbo_lab.cli.options import json_option
from turbo_lab.documents.output import print_document


@click.command("simulate")
@click.option(
    "--entries",
    multiple=True,
    type=click.IntRange(min=6, max=10_000),
    default=(10, 30, 100),
    show_default=True,
    help="Length of a series; may be given several times.",
)
@click.option(
    "--level",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="Probability of a false alarm per series.",
)
@click.option(
    "--runs",
    type=click.IntRange(min=20),
    default=1000,
    show_default=True,
    help="Simulated series per row.",
)
@json_option
def command(entries: tuple[int, ...], level: float, runs: int, as_json: bool) -> int:
    """Measure on simulated series how often a change is found: false alarms, and real steps."""
    from turbo_lab.history.series import simulate
    from turbo_lab.report.text.history import print_simulation

    found = simulate(entries, level, runs)
    if as_json:
        print_document("history simulate", found)
    else:
        print_simulation(found)
    return 0
