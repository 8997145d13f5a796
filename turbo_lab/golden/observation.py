"""One run of a case, as the judgement and the trials see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from turbo_lab.environment import Fingerprint
from turbo_lab.golden.stages import StageMark, StageValue, Values, mark, outcome_digest


@dataclass(frozen=True)
class Observation:
    """One run of a case on this machine."""

    cell_id: str
    """Id of the cell that ran."""
    stages: tuple[StageValue, ...]
    """Every stage, in order. The last is ``pixels``: (N, H, W, 3) uint8, as read back from the
    PNG files."""
    fingerprint: Fingerprint
    """Environment of the run."""

    @cached_property
    def marks(self) -> tuple[StageMark, ...]:
        """Mark of every stage, in order."""
        return tuple(mark(value) for value in self.stages)

    @property
    def outcome(self) -> str:
        """Digest of all stages."""
        return outcome_digest(self.marks)

    @property
    def pixels(self) -> Values:
        """Images, (N, H, W, 3) uint8 in [0, 255], RGB."""
        return self.stages[-1].values
