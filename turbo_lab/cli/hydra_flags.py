"""Hydra's own flags on a command that takes a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from turbo_lab.cli.output_files import Function
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.errors import InputError

_HYDRA_CFG = ("job", "hydra", "all")
_HYDRA_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def grid_options(function: Function) -> Function:
    """Add ``--config-dir``, and Hydra's own flags, which :func:`with_hydra` hands on."""
    for decorator in (
        config_dir_option,
        click.option(
            "-m",
            "--multirun",
            is_flag=True,
            help="Accepted; every grid is one sweep.",
        ),
        click.option("--hydra-help", is_flag=True, help="Print Hydra's own help."),
        click.option("-p", "--package", metavar="KEY", help="With --cfg: show this part only."),
        click.option("--resolve", is_flag=True, help="With --cfg: resolve interpolations."),
        click.option(
            "-i", "--info", type=click.Choice(_HYDRA_INFO), help="Print what Hydra found."
        ),
        click.option(
            "-c", "--cfg", type=click.Choice(_HYDRA_CFG), help="Print the composed config."
        ),
    ):
        function = decorator(function)
    return function


def with_hydra(words: Sequence[str], hydra: dict[str, Any]) -> list[str]:
    """Return the words followed by Hydra's flags, as Hydra reads them.

    Raises :class:`InputError` for an option that needs another one.
    """
    hydra.pop("multirun", None)  # it is always one
    if hydra.get("package") == "":
        raise InputError("--package: is empty; name a key, as in --package=model")
    for option in ("package", "resolve"):
        if hydra.get(option) and not hydra.get("cfg"):
            raise InputError(f"--{option}: changes what --cfg prints; add --cfg job")
    flags = [f"--{'hydra-help' if k == 'hydra_help' else k}" for k, v in hydra.items() if v is True]
    for key, value in hydra.items():
        if isinstance(value, str):
            flags.append(f"--{key}={value}")
    return [*words, *flags]
