"""``turbo-lab upgrade``: candidate versions in a separate environment, against this one."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.environment_options import environment_options
from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.options import json_option


@click.command("upgrade", cls=GridCommand)
@environment_options
@json_option
@words_argument("REQUIREMENT... [KEY=VALUE]...")
def command(
    words: tuple[str, ...],
    pre: bool,
    installer: str,
    timeout: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Compare versions of packages, in a separate environment, with this environment.

    \b
    turbo-lab upgrade diffusers==0.43.0
    turbo-lab upgrade diffusers torch==2.16.0 gate=release-timing
    turbo-lab upgrade ./diffusers-0.43.0.dev0-py3-none-any.whl model=nano-sdxl

    A requirement is a version, a wheel, a folder or a git address; a bare name is its newest
    version. Goldens, quality and latency of both environments are compared by the margins of the
    gate, release by default. The exit code is 0 for pass, 1 for a regression, 2 if there is no
    such version, 3 if the evidence does not decide, 4 if the candidate cannot be run.
    """
    from turbo_lab.api.upgrades import prepare_upgrade
    from turbo_lab.documents.output import print_document
    from turbo_lab.report.text.upgrade import print_upgrade
    from turbo_lab.upgrade.run import run_upgrade
    from turbo_lab.upgrade.verdict_files import write_verdict

    began = click.get_current_context().find_root().obj
    inputs = prepare_upgrade(words, pre, installer, limit_s=timeout, output=output)
    report = run_upgrade(inputs, began)
    page = write_verdict(report, inputs.output)
    if as_json:
        print_document("upgrade", report)
    else:
        print_upgrade(report)
        print(f"report          {page}")
        print(f"lock file       {report.lock}")
    return report.verdict.exit_code
