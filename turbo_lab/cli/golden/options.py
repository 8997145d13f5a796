"""Options and words that several ``golden`` commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from turbo_lab.errors import InputError, OverrideError

if TYPE_CHECKING:
    from turbo_lab.golden.run_case import Case, ResolveCase

processes_option = click.option(
    "--processes",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Number of fresh processes that must generate the same bits.",
)


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names of cases, and the overrides that apply to each of them.

    Raises ``InputError`` for a wrong override or a grid, once instead of once per case.
    """
    overrides = [w for w in words if "=" in w]
    if overrides:
        from turbo_lab.config import compose

        if len(compose("golden", overrides)) != 1:
            raise InputError(f"golden {' '.join(overrides)}: give one value per key")
    return [w for w in words if "=" not in w], overrides


def only_overrides(words: Sequence[str]) -> list[str]:
    """Return the words as overrides. Raises ``InputError`` for a name."""
    names, overrides = split_words(words)
    if names:
        raise InputError(
            f"golden: {names[0]}: unexpected name; this command takes KEY=VALUE only and runs "
            "all cases"
        )
    return overrides


def case_resolver(overrides: Sequence[str]) -> ResolveCase:
    """Return a function that composes a case from its own words, followed by ``overrides``.

    It raises :class:`OverrideError` for a case that only the overrides break.
    """
    from turbo_lab.config import compose
    from turbo_lab.golden.run_case import composed_case

    def composed(name: str, *words: str) -> Case:
        return composed_case(name, compose("golden", [*words, "tracking=none"]), words)

    def resolve(name: str, own: Sequence[str]) -> Case:
        try:
            return composed(name, *own, *overrides)
        except InputError as error:
            if not overrides:
                raise
            composed(name, *own)
            raise OverrideError(f"golden {name}: {error}") from error

    return resolve
