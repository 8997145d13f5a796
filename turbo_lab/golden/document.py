"""One golden as a document: the anchor, its history and its thresholds.

Owns the sidecar's schema and the rules about what was accepted, by whom, why
and until when. A sidecar carries a digest of itself: one that was edited by
hand is refused, for only ``record`` and ``accept`` may change what must hold.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from turbo_lab.documents.golden import Margin, Thresholds
from turbo_lab.environment import Fingerprint, Keys
from turbo_lab.errors import NonFiniteError, StoreError
from turbo_lab.golden.stages import StageMark, first_non_finite, outcome_digest
from turbo_lab.identity import as_plain, digest
from turbo_lab.request.recipe import Recipe
from turbo_lab.store import record as records
from turbo_lab.untrusted.paths import hex_name


@dataclass(frozen=True)
class Accepted:
    """One outcome that may stand."""

    outcome: str
    """See :func:`turbo_lab.golden.stages.outcome_digest`."""
    keys: Keys
    """Fingerprint keys of the environment that made it."""
    by: str
    """Who accepted it."""
    at: str
    """When, UTC, ISO 8601."""
    reason: str
    """Why."""
    expires: str | None = None
    """The last day (ISO 8601) on which it stands; ``None``: it does not end."""

    def stands(self, today: datetime.date) -> bool:
        """Whether it has not expired."""
        return self.expires is None or today <= datetime.date.fromisoformat(self.expires)


@dataclass(frozen=True)
class Acceptance:
    """A person's decision to accept outcomes."""

    reason: str
    """Why."""
    by: str
    """Name of the person."""
    expires: str | None = None
    """The last day (ISO 8601) on which it is valid; ``None``: it does not end."""

    def of(self, outcome: str, keys: Keys) -> Accepted:
        """Return the acceptance, now, of an outcome in the environment with these keys."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return Accepted(outcome, dict(keys), self.by, now, self.reason, self.expires)


@dataclass(frozen=True)
class GoldenContent:
    """What one case must reproduce, apart from the digests of its files."""

    name: str
    """Of its folder."""
    overrides: tuple[str, ...]
    """The case, as config overrides."""
    cell_id: str
    """Of the cell that the overrides named when it was recorded."""
    recipe: Recipe | Mapping[str, Any]
    """Recipe of the cell; for a test's own images, the values that the test named."""
    prompts: tuple[str, ...]
    """One an image."""
    seeds: tuple[int, ...]
    """One an image."""
    fingerprint: Fingerprint
    """Environment that made it."""
    stages: tuple[StageMark, ...]
    """The anchor, in order."""
    processes: int
    """Fresh processes that gave this outcome before it was minted."""
    accepted: tuple[Accepted, ...]
    """The anchor's acceptance first, then further ones."""
    known_bad: Mapping[str, str]
    """Outcomes that were rejected, with the reason."""
    parent: str | None
    """Outcome of the anchor before this one; ``None`` for the first."""
    thresholds: Thresholds
    """By tier (``T1``, ``T2``), then by figure; empty until calibrated: packaged ones serve."""

    @property
    def outcome(self) -> str:
        """Digest of the anchor."""
        return outcome_digest(self.stages)

    @classmethod
    def anchor(
        cls,
        old: Golden | None,
        *,
        name: str,
        overrides: tuple[str, ...],
        cell_id: str,
        recipe: Recipe | Mapping[str, Any],
        prompts: tuple[str, ...],
        seeds: tuple[int, ...],
        fingerprint: Fingerprint,
        stages: tuple[StageMark, ...],
        processes: int,
        acceptance: Acceptance,
        thresholds: Thresholds | None = None,
    ) -> GoldenContent:
        """Return a golden of an outcome, new or in the place of ``old``.

        ``thresholds`` serve unless ``old`` has its own. Raises :class:`NonFiniteError` for
        an outcome with NaN or infinity.
        """
        if (stage := first_non_finite(stages)) is not None:
            raise NonFiniteError(stage, f"golden {name} is not recorded; mend the pipeline first")
        outcome = outcome_digest(stages)
        is_move = old is None or old.outcome != outcome
        # Further outcomes were accepted next to the old anchor: a move leaves them behind.
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
            accepted=(acceptance.of(outcome, fingerprint.keys), *further),
            known_bad={k: v for k, v in old.known_bad.items() if k != outcome} if old else {},
            parent=None if old is None else old.outcome if is_move else old.parent,
            thresholds=(old.thresholds if old else {}) or thresholds or {},
        )


@dataclass(frozen=True)
class Golden(GoldenContent):
    """What one case must reproduce, with its files."""

    tensors: str
    """sha256 of the safetensors file that holds noise, latents and what else fits."""
    image: str
    """sha256 of the PNG file that holds the images side by side."""

    @classmethod
    def of(cls, content: GoldenContent, tensors: str, image: str) -> Golden:
        """Return the golden of a content whose files have these digests."""
        kept = {field.name: getattr(content, field.name) for field in fields(GoldenContent)}
        return cls(**kept, tensors=tensors, image=image)

    def standing(self, outcome: str, today: datetime.date) -> Accepted | None:
        """Return the valid acceptance of an outcome; ``None`` without one."""
        found = (a for a in self.accepted if a.outcome == outcome and a.stands(today))
        return next(found, None)

    def with_accepted(self, acceptance: Accepted) -> Golden:
        """Return the golden with one more accepted outcome; the anchor does not move.

        An outcome that was rejected is known bad no longer, or not as long as this stands.
        """
        new = (acceptance.outcome, dict(acceptance.keys))
        kept = tuple(a for a in self.accepted[1:] if (a.outcome, dict(a.keys)) != new)
        bad = dict(self.known_bad)
        if acceptance.expires is None:
            bad.pop(acceptance.outcome, None)
        return replace(self, accepted=(self.accepted[0], *kept, acceptance), known_bad=bad)

    def with_known_bad(self, outcome: str, reason: str) -> Golden:
        """The same golden, which refuses one more outcome. The anchor cannot be refused."""
        if outcome == self.outcome:
            raise StoreError(
                f"golden {self.name}: its own anchor cannot be rejected; accept another first"
            )
        kept = tuple(a for a in self.accepted if a.outcome != outcome)
        return replace(self, accepted=kept, known_bad={**self.known_bad, outcome: reason})


def golden_document(golden: Golden) -> dict[str, Any]:
    """The sidecar, with the digest of its own content."""
    values = records.document("golden", golden)
    return {**values, "digest": _own_digest(values)}


def read_golden(values: Mapping[str, Any], where: str) -> Golden:
    """Inverse of :func:`golden_document`. Raises :class:`StoreError`, each with what is wrong."""
    rest = records.check_document(values, "golden", where)
    if rest.pop("digest", None) != _own_digest({k: v for k, v in values.items() if k != "digest"}):
        raise StoreError(
            f"{where}: was edited by hand, or is damaged (its digest does not fit); restore it "
            "from version control, or delete its folder and record it again"
        )
    for file in ("tensors", "image"):
        hex_name(rest[file], f"{where}: {file}", StoreError)
    return Golden(
        **rest
        | {
            "overrides": tuple(rest["overrides"]),
            "prompts": tuple(rest["prompts"]),
            "seeds": tuple(rest["seeds"]),
            "recipe": _read_recipe(rest["recipe"]),
            "fingerprint": Fingerprint.from_plain(rest["fingerprint"]),
            "stages": tuple(_read_mark(m) for m in rest["stages"]),
            "accepted": tuple(Accepted(**a) for a in rest["accepted"]),
            "thresholds": {
                tier: {name: Margin(**margin) for name, margin in figures.items()}
                for tier, figures in rest["thresholds"].items()
            },
        }
    )


def _read_recipe(values: Mapping[str, Any]) -> Recipe | Mapping[str, Any]:
    """Return a cell's recipe, or the values of a test's own images unchanged."""
    is_cell = set(values) == {field.name for field in fields(Recipe)}
    return Recipe.from_plain(values) if is_cell else values


def _read_mark(values: Mapping[str, Any]) -> StageMark:
    shape, norm = tuple(values["shape"]), float(values["norm"])
    return StageMark(**{**values, "shape": shape, "norm": norm})


def _own_digest(values: Mapping[str, Any]) -> str:
    return digest(as_plain({k: v for k, v in values.items() if k != "turbo_lab"}))
