"""``turbo-lab history show``: every figure by commit, with steps and drifts."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.options import file_option, html_option, json_option
from turbo_lab.documents.output import print_document, write_text
from turbo_lab.history.file import DEFAULT_FILE


@click.command("show")
@click.argument(
    "file", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_FILE, metavar="[FILE]"
)
@click.option("--since", metavar="DATE|COMMIT", help="Leave out what is older.")
@click.option("--figure", metavar="NAME", help="Show only figures whose name contains NAME.")
@click.option(
    "--level",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="Probability of any false alarm.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a figure has got worse.")
@html_option
@file_option("openmetrics", "the latest numbers in the OpenMetrics format")
@file_option("bencher", "the latest numbers in Bencher's JSON format")
@json_option
def command(
    file: Path,
    since: str | None,
    figure: str | None,
    level: float,
    exit_code: bool,
    html: Path | None,
    openmetrics: Path | None,
    bencher: Path | None,
    as_json: bool,
) -> int:
    """Show every figure by commit, and where it stepped or drifted.

    FILE is turbo-lab-history.jsonl if none is named.

    \b
    turbo-lab history show --html history.html
    turbo-lab history show --since 2026-11-01 --exit-code
    """
    from turbo_lab.history import exports
    from turbo_lab.history.file import read
    from turbo_lab.history.series import select, show
    from turbo_lab.report.html.history import history_page
    from turbo_lab.report.text.history import print_history

    writers = {
        "--html": (html, history_page),
        "--openmetrics": (openmetrics, exports.openmetrics),
        "--bencher": (bencher, exports.bencher),
    }
    shown = show(select(read(file), since, figure), level)
    for option, (path, write) in writers.items():
        if path is not None:
            write_text(path, write(shown), option)
    if as_json:
        print_document("history show", shown)
    else:
        print_history(shown)
    return 1 if exit_code and shown.worse else 0
