"""``turbo-lab gate``: run it, or put it to the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from turbo_lab.cli.commands import Subcommands
from turbo_lab.cli.options import Function, GridCommand, json_option, words_argument


class GateGroup(Subcommands):
    """A group whose default, for words that name no subcommand, is to run the gate."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` in front of the words of a gate."""
        names = (*self.commands, "-h", "--help")
        return super().parse_args(ctx, args if args and args[0] in names else ["run", *args])


def _file_option(kind: str, what: str) -> Callable[[Function], Function]:
    return click.option(f"--{kind}", metavar="FILE", help=f"Write the verdict as {what}.")


@click.group("gate", cls=GateGroup)
def command() -> None:
    """Decide whether a candidate may be released, by a policy.

    \b
    turbo-lab gate gate=release candidate.KEY=VALUE baseline.KEY=VALUE [KEY=VALUE]...
    turbo-lab gate gate=release baseline.model=nano-turbo candidate.scheduler=LCMScheduler

    Keys without a side belong to both. Without a baseline, the committed one of that policy
    serves. `turbo-lab gate run --help` lists options and keys.
    """


@command.command("run", cls=GridCommand)
@click.option("--fresh", is_flag=True, help="Draw the candidate again, even if it is in the store.")
@_file_option("junit", "JUnit XML")
@_file_option("markdown", "Markdown")
@_file_option("html", "a page with images")
@json_option
@words_argument()
def run(words: tuple[str, ...], as_json: bool, fresh: bool, **files: str | None) -> int:
    """Run the gate; exit code 1 for a regression, 3 if it is inconclusive or uncovered."""
    from turbo_lab.cli.gate_run import run_gate_words

    paths = {kind: Path(path) for kind, path in files.items() if path is not None}
    return run_gate_words(words, paths, fresh, as_json)


@command.command("calibrate")
@click.option(
    "--seeds", default=8, show_default=True, type=click.IntRange(min=2), help="Seeds per prompt."
)
@click.option(
    "--resamples",
    default=1000,
    show_default=True,
    type=click.IntRange(min=8),
    help="Simulated gates.",
)
@click.option(
    "--real",
    default=5,
    show_default=True,
    type=click.IntRange(min=0),
    help="Whole gates, each with seeds of its own.",
)
@json_option
@words_argument()
def calibrate_(words: tuple[str, ...], seeds: int, resamples: int, real: int, as_json: bool) -> int:
    """Measure how often the gate would fail equal pipelines."""
    from turbo_lab.cli import gate_trials

    return gate_trials.calibrate(words, seeds, resamples, real, as_json)


@command.command("mutate")
@json_option
@words_argument()
def mutate_(words: tuple[str, ...], as_json: bool) -> int:
    """Inject faults into the candidate and say which ones the gate catches."""
    from turbo_lab.cli import gate_trials

    return gate_trials.mutate(words, as_json)
