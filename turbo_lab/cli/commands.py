"""The table of commands: the name of each, its one line of help, and its module.

A command ``NAME`` is the click command ``command`` of ``turbo_lab/cli/NAME.py``, which is
imported only when it runs, so that ``--help`` stays light.
"""

from __future__ import annotations

import difflib
from importlib import import_module

import click

from turbo_lab import __version__
from turbo_lab.errors import unknown_name

COMMANDS: dict[str, str] = {
    "generate": "Draw images from a prompt or a prompt set.",
    "show": "Show the recipe inside an image.",
    "plan": "Show what a sweep would run and what it shares.",
    "sweep": "Run a grid; the default sweep if no key says otherwise.",
    "bench": "Measure latency: a grid, or two pipelines against each other.",
    "compare": "Compare a model with baselines on the same prompts and seeds.",
    "golden": "Record, check and maintain golden images.",
    "gate": "Decide whether a candidate may be released.",
    "baseline": "Keep what a sweep measured, to compare with later.",
    "reproduce": "Draw a recorded image or cell again and compare it.",
    "report": "Write a sweep as one HTML or Markdown file.",
    "reference": "Build the image statistics that distances are measured to.",
    "models": "List, show, fetch and verify models.",
    "store": "Verify, measure and clean up the store.",
    "doctor": "Show what this machine can run, and why not.",
    "sync": "Replay the store into MLflow.",
    "completion": "Print the script that completes commands, options and keys.",
}
_EPILOG = """\
\b
Keys: model num_inference_steps guidance_scale resolution batch_size lora seed prompts
      scheduler dtype device num_images share timing metrics store tracking sweep
      (`turbo-lab sweep --help` lists all of them with their values)

Every command that prints a result takes --json.

Exit codes: 0 done, 1 regression, 2 wrong input, 3 incomplete, 4 internal error.
"""


class Commands(click.Group):
    """The commands of the table; each is imported when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        found = import_module(f"turbo_lab.cli.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; raises :class:`InputError` with the nearest name."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown_name("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class Subcommands(click.Group):
    """A command that needs one of its subcommands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; raises :class:`click.UsageError` with the nearest name."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(
                f"{args[0]}: unknown.{hint} Valid: {', '.join(sorted(self.commands))}.", ctx
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; raises :class:`click.UsageError` if no subcommand is named."""
        if not args and not ctx.resilient_parsing:  # completion has none yet
            raise click.UsageError(f"name one of {', '.join(self.commands)}.", ctx)
        return super().parse_args(ctx, args)


@click.group(
    "turbo-lab",
    cls=Commands,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=f"turbo-lab {__version__}: sweeps, comparisons and release gates for few-step SDXL models",
)
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def turbo_lab(context: click.Context) -> None:
    """Print the overview if no command is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
