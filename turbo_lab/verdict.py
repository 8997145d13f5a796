"""The verdict on a comparison, and the direction in which a metric is better.

Owns the words, with their exit codes, their severity and their colour on a terminal. A verdict
is text in every JSON document, and an enum everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Direction(StrEnum):
    """Direction in which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"
    NONE = "none"
    """Neither: a value may leave its margin on both sides."""


class Verdict(StrEnum):
    """The outcome of a check. Members are listed from the mildest to the most severe."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    """There is not enough evidence to decide."""
    UNCOVERED = "uncovered"
    """There is nothing to compare with."""
    REGRESSION = "regression"
    ERROR = "error"
    """The check could not be made."""

    @property
    def exit_code(self) -> int:
        """Exit code of a command that ends with this verdict."""
        return _EXIT_CODES[self]

    @property
    def style(self) -> str:
        """Name of the rich style that the verdict is printed in."""
        return _STYLES[self]

    @property
    def emoji(self) -> str:
        """Sign for a Markdown table."""
        return _EMOJI[self]

    @property
    def short(self) -> str:
        """At most six letters, for a narrow column."""
        return _SHORT.get(self, self.value)


_EXIT_CODES = {
    Verdict.PASS: 0,
    Verdict.INCONCLUSIVE: 3,
    Verdict.UNCOVERED: 3,
    Verdict.REGRESSION: 1,
    Verdict.ERROR: 4,
}
_STYLES = {
    Verdict.PASS: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.UNCOVERED: "yellow",
    Verdict.REGRESSION: "red",
    Verdict.ERROR: "magenta",
}
_EMOJI = {
    Verdict.PASS: "✅",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.UNCOVERED: "⬜",
    Verdict.REGRESSION: "❌",
    Verdict.ERROR: "💥",
}
_SHORT = {
    Verdict.INCONCLUSIVE: "incon.",
    Verdict.UNCOVERED: "uncov.",
    Verdict.REGRESSION: "regr.",
}
WORST_FIRST = tuple(reversed(Verdict))
"""All verdicts, from the most severe to the mildest."""


def worst(verdicts: Iterable[Verdict | str]) -> Verdict:
    """Return the most severe verdict; ``PASS`` for none at all."""
    return min((Verdict(one) for one in verdicts), key=WORST_FIRST.index, default=Verdict.PASS)
