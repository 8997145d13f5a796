"""``--config-dir``: the folder of the user's own groups, read until the command ends."""

from __future__ import annotations

import click

from turbo_lab.cards import check_own_groups, with_own_groups
from turbo_lab.errors import TurboLabError

# Where a context keeps the folder for completion, which begins after the context is closed.
OWN_GROUPS = "turbo_lab.own_groups"


def _use_own_groups(context: click.Context, _: click.Parameter, text: str | None) -> None:
    """Read the user's own groups until the command ends."""
    if text is None:
        return
    try:
        folder = check_own_groups(text, "--config-dir")
    except TurboLabError:
        if context.resilient_parsing:  # completion says nothing of mistakes
            return
        raise
    context.meta[OWN_GROUPS] = folder
    context.find_root().with_resource(with_own_groups(folder))


# Eager: the help that follows it lists the user's own choices.
config_dir_option = click.option(
    "--config-dir",
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_use_own_groups,
    help="Folder with groups of your own, such as model/ and prompts/.",
)
