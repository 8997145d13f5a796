"""``turbo-lab bisect``: the first version or commit that changes the result."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.environment_options import environment_options
from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.options import json_option


@click.command("bisect", cls=GridCommand)
@click.option(
    "--test",
    metavar="TEST",
    default="bits",
    show_default=True,
    help="What has to change: bits, golden, crash, latency, or a metric of the gate.",
)
@click.option(
    "--by-commit",
    "checkout",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Try the commits of this git checkout, not releases.",
)
@click.option("--all", "finds_all", is_flag=True, help="Find every change, one after the other.")
@environment_options
@json_option
@words_argument("NAME==FIRST..LAST [KEY=VALUE]...")
def command(
    words: tuple[str, ...],
    test: str,
    checkout: Path | None,
    finds_all: bool,
    pre: bool,
    installer: str,
    timeout: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Find the first version of a package that changes the result, and at which stage.

    \b
    turbo-lab bisect diffusers==0.38.0..0.42.1
    turbo-lab bisect diffusers==0.38.0..0.42.1 --test clip_score --all
    turbo-lab bisect diffusers==v0.41.0..main --by-commit ~/src/diffusers

    Versions that cannot be installed or imported are skipped. If it is interrupted, run the same
    command again and it resumes. The exit code is 0 if the question is answered, 2 if an end of
    the range does not exist, 3 if a change may be in several versions, 4 if none can be tested.
    """
    from turbo_lab.api.upgrades import prepare_bisect
    from turbo_lab.documents.output import print_document
    from turbo_lab.report.text.bisect import print_bisect
    from turbo_lab.upgrade.bisect import run_bisect
    from turbo_lab.upgrade.verdict_files import write_bisection

    inputs = prepare_bisect(
        words,
        test,
        checkout=checkout,
        pre=pre,
        finds_all=finds_all,
        installer=installer,
        limit_s=timeout,
        output=output,
    )
    report = run_bisect(inputs, click.get_current_context().find_root().obj)
    page = write_bisection(report, inputs.folder.root.parent)
    if as_json:
        print_document("bisect", report)
    else:
        print_bisect(report)
        print(f"report          {page}")
    return report.exit_code
