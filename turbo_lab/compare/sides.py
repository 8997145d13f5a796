"""A candidate and a baseline on one command line: ``candidate.KEY=`` and ``baseline.KEY=``.

Each side is composed by itself, so that config groups work on either; keys with
no side belong to both.
"""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab import config
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points

SIDES = ("candidate", "baseline")


def split_sides(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Overrides of each side, the common ones first."""
    common = [a for a in arguments if not a.startswith(tuple(f"{side}." for side in SIDES))]
    own = {
        side: [a.removeprefix(f"{side}.") for a in arguments if a.startswith(f"{side}.")]
        for side in SIDES
    }
    return {side: [*common, *own[side]] for side in SIDES}


def compose_side(command: str, side: str, overrides: Sequence[str]) -> ResolvedSweep:
    """One side, resolved. Raises ``InputError`` where it is a grid."""
    sweep = resolve_points(config.compose(command, overrides))
    if len(sweep.cells) != 1:
        raise InputError(
            f"{command}: the {side} is a grid of {len(sweep.cells)} cells; give one value a key"
        )
    return sweep
