"""Words of two sides: ``candidate.KEY=`` and ``baseline.KEY=`` among the others.

Each side is composed by itself, so that config groups work on either; keys without a
side belong to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turbo_lab import config
from turbo_lab.compare.sides import SIDES, SideName, require_one_cell
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points


@dataclass(frozen=True)
class SideWords:
    """The words of a command line, by the side that they belong to."""

    common: tuple[str, ...]
    """Words of both sides."""
    candidate: tuple[str, ...]
    """Words of the candidate alone, without ``candidate.``."""
    baseline: tuple[str, ...]
    """Words of the baseline alone, without ``baseline.``."""

    @property
    def has_sides(self) -> bool:
        """``True`` if any word belongs to only one side."""
        return bool(self.candidate or self.baseline)

    @property
    def has_selection(self) -> bool:
        """``True`` if the sides are the cells that a person chose: ``cells=FILE``."""
        return any(word.startswith("cells=") for word in self.common)

    def own(self, side: SideName) -> tuple[str, ...]:
        """Return the words of one side alone."""
        return self.candidate if side == "candidate" else self.baseline

    def of(self, side: SideName) -> list[str]:
        """Return all words of a side, the common ones first."""
        return [*self.common, *self.own(side)]


def split_sides(arguments: Sequence[str]) -> SideWords:
    """Split a command line's words by side."""
    own: dict[str, list[str]] = {side: [] for side in SIDES}
    common: list[str] = []
    for word in arguments:
        side, _, rest = word.partition(".")
        own.get(side, common).append(rest if side in own else word)
    return SideWords(tuple(common), tuple(own["candidate"]), tuple(own["baseline"]))


def compose_side(command: str, side: SideName, overrides: Sequence[str]) -> ResolvedSweep:
    """Compose and resolve one side. Raises ``InputError`` if it is a grid."""
    points = config.compose(command, overrides)
    return require_one_cell(command, side, resolve_points(points))
