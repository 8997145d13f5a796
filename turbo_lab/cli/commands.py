"""The table of commands: the name of each, its one line of help, and its module.

A command ``NAME`` is the click command ``command`` of ``turbo_lab/cli/NAME.py``, which is
imported only when it runs, so that ``--help`` stays light.
"""

from __future__ import annotations

import click

from turbo_lab import __version__
from turbo_lab.cli.groups import LazyCommands

COMMANDS: dict[str, str] = {
    "generate": "Generate images from a prompt or a prompt set.",
    "show": "Show the recipe inside an image.",
    "plan": "Show what a sweep would run and what it shares.",
    "sweep": "Run a grid; the default sweep if no key says otherwise.",
    "bench": "Measure latency: a grid, or two pipelines against each other.",
    "compare": "Compare a model with baselines on the same prompts and seeds.",
    "golden": "Record, check and maintain golden images.",
    "gate": "Decide whether a candidate may be released.",
    "upgrade": "Compare versions of packages with this environment; one verdict.",
    "bisect": "Find the version of a package that changes the result.",
    "init": "Write goldens, a gate policy and a CI workflow to start from.",
    "baseline": "Keep what a sweep measured, to compare with later.",
    "history": "Keep figures by commit, and find steps and drifts in them.",
    "reproduce": "Generate a recorded image or cell again and compare it.",
    "report": "Write a sweep as one page, table or model card.",
    "export": "Copy a sweep's images and tables into a folder, for other tools.",
    "reference": "Build the image statistics that distances are measured to.",
    "models": "List, show, fetch and verify models.",
    "store": "Verify, measure and clean up the store.",
    "doctor": "Show what this machine can run and what to fix.",
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


class Commands(LazyCommands):
    """The commands of turbo-lab."""

    table = COMMANDS


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
