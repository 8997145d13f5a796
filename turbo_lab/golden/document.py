"""One golden as a document: the anchor, its history and its thresholds.

Owns the schema of ``golden.json`` and the rules about what was accepted, by whom, why and
until when. The file holds a digest of itself: one that was edited by hand is refused, because
only ``record``, ``accept``, ``reject`` and ``calibrate`` may change what a golden demands.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from turbo_lab.documents.document import read_document, to_document
from turbo_lab.documents.golden import Thresholds
from turbo_lab.environment import Fingerprint, Keys
from turbo_lab.errors import NonFiniteError, StoreError
from turbo_lab.golden.stages import StageMark, first_non_finite, outcome_digest
from turbo_lab.identity import digest
from turbo_lab.request.recipe import Recipe
from turbo_lab.store import record as records
from turbo_lab.untrusted.paths import hex_name

CaseRecipe = Recipe | Mapping[str, object]
"""Recipe of a cell; for a test's own images, the values that the test gave."""


def current_day() -> datetime.date:
    """Return the current day in UTC, as expiry dates are."""
    return datetime.datetime.now(datetime.UTC).date()


@dataclass(frozen=True)
class Accepted:
    """One outcome that was accepted in one environment."""

    outcome: str
    """Digest of all stages; see :func:`turbo_lab.golden.stages.outcome_digest`."""
    keys: Keys
    """Fingerprint keys of the environment that drew it."""
    by: str
    """Name of the person who accepted it."""
    at: str
    """Time of the acceptance, UTC, ISO 8601."""
    reason: str
    """Reason for the acceptance."""
    expires: str | None = None
    """Last day (ISO 8601) on which it is valid; ``None``: it has no end."""

    def is_valid(self, today: datetime.date) -> bool:
        """Return whether it has not expired."""
        return self.expires is None or today <= datetime.date.fromisoformat(self.expires)


@dataclass(frozen=True)
class Acceptance:
    """A person's decision to accept outcomes."""

    reason: str
    """Reason for the acceptance."""
    by: str
    """Name of the person."""
    expires: str | None = None
    """Last day (ISO 8601) on which it is valid; ``None``: it has no end."""

    def accept(self, outcome: str, keys: Keys) -> Accepted:
        """Accept, now, an outcome in the environment with these fingerprint keys."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return Accepted(
            outcome=outcome,
            keys=dict(keys),
            by=self.by,
            at=now,
            reason=self.reason,
            expires=self.expires,
        )


@dataclass(frozen=True)
class GoldenContent:
    """Everything that a golden demands and remembers, apart from the digests of its files."""

    name: str
    """Name of its case and of its folder."""
    overrides: tuple[str, ...]
    """Config overrides of the case."""
    cell_id: str
    """Id of the cell that the overrides named when the golden was recorded."""
    recipe: CaseRecipe
    """Recipe of the images."""
    prompts: tuple[str, ...]
    """Prompt of each image."""
    seeds: tuple[int, ...]
    """Seed of each image."""
    fingerprint: Fingerprint
    """Environment in which it was recorded."""
    stages: tuple[StageMark, ...]
    """The anchor: a mark per stage, in order."""
    processes: int
    """Number of fresh processes that reproduced the outcome before it was recorded."""
    accepted: tuple[Accepted, ...]
    """Acceptance of the anchor first, then of further outcomes."""
    known_bad: Mapping[str, str]
    """Reason per rejected outcome."""
    parent: str | None
    """Outcome of the anchor before this one; ``None`` for the first."""
    thresholds: Thresholds
    """Thresholds by tier (``T1``, ``T2``), then by metric; empty: those of the library serve."""

    @property
    def outcome(self) -> str:
        """Digest of all stages of the anchor."""
        return outcome_digest(self.stages)

    @classmethod
    def anchor(
        cls,
        old: Golden | None,
        *,
        name: str,
        overrides: tuple[str, ...],
        cell_id: str,
        recipe: CaseRecipe,
        prompts: tuple[str, ...],
        seeds: tuple[int, ...],
        fingerprint: Fingerprint,
        stages: tuple[StageMark, ...],
        processes: int,
        acceptance: Acceptance,
        thresholds: Thresholds | None = None,
    ) -> GoldenContent:
        """Return a golden of an outcome: a new one, or the successor of ``old``.

        ``thresholds`` serve unless ``old`` has its own. Raises :class:`NonFiniteError` for
        an outcome with NaN or infinity.
        """
        if (stage := first_non_finite(stages)) is not None:
            raise NonFiniteError(stage, f"golden {name} is not recorded; mend the pipeline first")
        outcome = outcome_digest(stages)
        is_move = old is None or old.outcome != outcome
        # Further outcomes were accepted next to the old anchor; a move leaves them behind.
        further = () if old is None or is_move else old.accepted[1:]
        return cls(
            name=name,
            overrides=overrides,
            cell_id=cell_id,
            recipe=recipe,
            prompts=prompts,
            seeds=seeds,
            fingerprint=fingerprint,
            stages=stages,
            processes=processes,
            accepted=(acceptance.accept(outcome, fingerprint.keys), *further),
            known_bad={k: v for k, v in old.known_bad.items() if k != outcome} if old else {},
            parent=None if old is None else old.outcome if is_move else old.parent,
            thresholds=(old.thresholds if old else {}) or thresholds or {},
        )


@dataclass(frozen=True)
class Golden(GoldenContent):
    """One case that a pipeline must reproduce, with the digests of its files."""

    tensors: str
    """sha256 of the safetensors file with the tensors that were kept."""
    image: str
    """sha256 of the PNG file with the images next to each other."""

    @classmethod
    def with_files(cls, content: GoldenContent, *, tensors: str, image: str) -> Golden:
        """Return the golden of a content whose files have these digests."""
        kept = {field.name: getattr(content, field.name) for field in fields(GoldenContent)}
        return cls(**kept, tensors=tensors, image=image)

    def acceptance_of(self, outcome: str, today: datetime.date) -> Accepted | None:
        """Return the valid acceptance of an outcome; ``None`` without one."""
        matching = (a for a in self.accepted if a.outcome == outcome and a.is_valid(today))
        return next(matching, None)

    def with_accepted(self, acceptance: Accepted) -> Golden:
        """Return the golden with one more accepted outcome; the anchor stays.

        The outcome is known bad no longer; if the acceptance expires, the rejection applies
        again afterwards.
        """
        new = (acceptance.outcome, dict(acceptance.keys))
        kept = tuple(a for a in self.accepted[1:] if (a.outcome, dict(a.keys)) != new)
        bad = dict(self.known_bad)
        if acceptance.expires is None:
            bad.pop(acceptance.outcome, None)
        return replace(self, accepted=(self.accepted[0], *kept, acceptance), known_bad=bad)

    def with_known_bad(self, outcome: str, reason: str) -> Golden:
        """Return the golden with one more rejected outcome.

        Raises :class:`StoreError` for the anchor.
        """
        if outcome == self.outcome:
            raise StoreError(
                f"golden {self.name}: this outcome is its anchor and cannot be rejected; "
                "accept another outcome first"
            )
        kept = tuple(a for a in self.accepted if a.outcome != outcome)
        return replace(self, accepted=kept, known_bad={**self.known_bad, outcome: reason})


def golden_document(golden: Golden) -> Mapping[str, object]:
    """Return the content of ``golden.json``, with the digest of itself."""
    values = to_document("golden", golden)
    return {**values, "digest": _own_digest(values)}


def read_golden(values: Mapping[str, object], where: str) -> Golden:
    """Return the golden that the content of a ``golden.json`` describes.

    Raises :class:`StoreError` for another kind or a newer schema, and if the content was
    edited or is damaged. ``where`` names the file in messages.
    """
    records.check_document(values, "golden", where)  # before the digest: it says more
    if values.get("digest") != _own_digest(values):
        raise StoreError(
            f"{where}: was edited by hand or is damaged (its digest does not match); restore it "
            "from version control, or delete its folder and record it again"
        )
    golden = read_document(Golden, "golden", values, where)
    for field, name in (("tensors", golden.tensors), ("image", golden.image)):
        hex_name(name, f"{where}: {field}", StoreError)
    return golden


def _own_digest(values: Mapping[str, object]) -> str:
    """Return the digest of a document, regardless of the version that wrote it."""
    return digest({k: v for k, v in values.items() if k not in ("turbo_lab", "digest")})
