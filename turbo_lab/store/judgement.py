"""A comparison or a gate, as a store keeps it for MLflow.

Owns the summary that a replay needs; the whole document is what the command printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turbo_lab.environment import GitState
from turbo_lab.verdict import Verdict

if TYPE_CHECKING:
    from turbo_lab.store.store import Store


@dataclass(frozen=True)
class Judgement:
    """The summary of one comparison or gate."""

    judgement_id: str
    """Digest of the document."""
    command: str
    """``compare`` or ``gate``."""
    name: str
    """Name for people: the candidate, or the policy."""
    verdict: Verdict
    """Worst verdict of all rows or checks."""
    made_at: float
    """Moment when it was made, in seconds since 1970 UTC."""
    parameters: Mapping[str, str]
    """Sides and environment, by name."""
    metrics: Mapping[str, float]
    """Key figures that are finite, by name."""
    description: str
    """Result in Markdown."""
    git: GitState | None
    """Repository of the working directory. ``None``: it was not in one."""

    @classmethod
    def read(cls, store: Store, judgement_id: str) -> Judgement:
        """Return a judgement of a store. Raises :class:`StoreError` for one that is damaged."""
        path = store.layout.judgement(judgement_id).document
        return store.read_document(cls, "judgement", path)
