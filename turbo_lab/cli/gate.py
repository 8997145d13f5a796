"""``turbo-lab gate``: run a gate, or test the gate itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from turbo_lab.cli.commands import Subcommands
from turbo_lab.cli.options import (
    Function,
    GridCommand,
    grid_options,
    json_option,
    with_hydra,
    words_argument,
)


class GateGroup(Subcommands):
    """Command group that runs the gate if no subcommand is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` in front of words that do not start with a subcommand."""
        names = (*self.commands, "-h", "--help")
        return super().parse_args(ctx, args if args and args[0] in names else ["run", *args])


def _file_option(form: str, text: str) -> Callable[[Function], Function]:
    return click.option(f"--{form}", metavar="FILE", help=f"Write the verdict as {text}.")


@click.group("gate", cls=GateGroup)
def command() -> None:
    """Decide by a policy whether a candidate may be released.

    \b
    turbo-lab gate gate=release candidate.KEY=VALUE baseline.KEY=VALUE [KEY=VALUE]...
    turbo-lab gate gate=release baseline.model=nano-turbo candidate.scheduler=LCMScheduler

    A key without a side applies to both sides. Without any baseline.KEY, the candidate is
    compared with the stored baseline that the policy names. `turbo-lab gate run --help` lists
    all options and keys.
    """


@command.command("run", cls=GridCommand)
@click.option("--fresh", is_flag=True, help="Draw the candidate again, even if it is in the store.")
@_file_option("junit", "JUnit XML")
@_file_option("markdown", "Markdown")
@_file_option("html", "a page with images")
@json_option
@grid_options
@words_argument()
def run(
    words: tuple[str, ...],
    as_json: bool,
    fresh: bool,
    junit: str | None,
    markdown: str | None,
    html: str | None,
    **hydra: Any,
) -> int:
    """Run the gate of a policy.

    \b
    turbo-lab gate gate=release
    turbo-lab gate gate=release baseline.model=nano-turbo candidate.lora=flat@0.8

    The exit code is 0 for pass, 1 for a regression, 3 if the gate is inconclusive or uncovered,
    4 for an error. --cfg job prints the composed config of the candidate instead.
    """
    from turbo_lab.cli.gate_run import run_gate_words

    files = {"junit": junit, "markdown": markdown, "html": html}
    paths = {form: Path(path) for form, path in files.items() if path is not None}
    return run_gate_words(words, paths, fresh, as_json, hydra_flags=with_hydra((), hydra))


@command.command("calibrate")
@click.option(
    "--seeds",
    metavar="N",
    default=8,
    show_default=True,
    type=click.IntRange(min=2),
    help="Seeds per prompt.",
)
@click.option(
    "--resamples",
    metavar="N",
    default=1000,
    show_default=True,
    type=click.IntRange(min=8),
    help="Simulated gates, on seeds drawn from one pool.",
)
@click.option(
    "--real",
    metavar="N",
    default=5,
    show_default=True,
    type=click.IntRange(min=0),
    help="Whole gates, each on new seeds.",
)
@json_option
@words_argument()
def calibrate_(words: tuple[str, ...], seeds: int, resamples: int, real: int, as_json: bool) -> int:
    """Measure how often the gate fails equal pipelines.

    Compares the candidate with itself on other seeds. The exit code is 1 if that fails too
    often, or if a margin of the policy is below the noise.
    """
    from turbo_lab.cli import gate_trials

    return gate_trials.calibrate(words, seeds, resamples, real=real, as_json=as_json)


@command.command("mutate")
@json_option
@words_argument()
def mutate_(words: tuple[str, ...], as_json: bool) -> int:
    """Show which faults the gate catches.

    Puts one fault after the other into the candidate and runs the checks. The exit code is 1 if
    a fault passes all of them.
    """
    from turbo_lab.cli import gate_trials

    return gate_trials.mutate(words, as_json)
