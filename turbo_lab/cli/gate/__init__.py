"""``turbo-lab gate``: run a gate, or test the gate itself."""

from __future__ import annotations

import click

from turbo_lab.cli.gate import calibrate, mutate, run
from turbo_lab.cli.groups import Subcommands
from turbo_lab.cli.help import HelpContext


class GateGroup(Subcommands):
    """Command group that runs the gate if no subcommand is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` in front of words that do not start with a subcommand."""
        names = (*self.commands, "-h", "--help")
        return super().parse_args(ctx, args if args and args[0] in names else ["run", *args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of ``run`` too, because ``gate`` takes them without that word."""
        context = HelpContext(run.command, parent=ctx, info_name="run")
        options = [one for one in run.command.params if isinstance(one, click.Option)]
        records = [one.get_help_record(context) for one in options]
        with formatter.section("Options of run"):
            formatter.write_dl([record for record in records if record is not None])
        super().format_options(ctx, formatter)


@click.group("gate", cls=GateGroup)
def command() -> None:
    """Decide by a policy whether a candidate may be released.

    \b
    turbo-lab gate gate=release candidate.KEY=VALUE baseline.KEY=VALUE [KEY=VALUE]...
    turbo-lab gate gate=release baseline.model=nano-turbo candidate.scheduler=LCMScheduler

    A key without a side applies to both sides. Without any baseline.KEY, the candidate is
    compared with the stored baseline that the policy names. `turbo-lab gate run --help` lists
    all keys.
    """


for _module in (run, calibrate, mutate):
    command.add_command(_module.command)
