"""Documents of the ``golden`` commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from turbo_lab.documents.occasion import Occasion
from turbo_lab.untrusted.typed_json import OMITTED
from turbo_lab.verdict import Verdict

Tier = Literal["T0", "T1", "T2"]
"""``T0``: bit for bit equal; ``T1``: numerically close; ``T2``: perceptually equal."""


@dataclass(frozen=True)
class StageDifference:
    """Difference of one stage of a run from the golden's."""

    stage: str
    """Name of the stage."""
    equal: bool
    """``true`` if it is bit for bit equal."""
    max_abs: float | None
    """Largest absolute difference. ``None``: the golden does not keep this tensor, or the shapes
    differ."""
    relative_l2: float | None
    """Norm of the difference over the golden's. ``None``: the shapes differ, or the stage is
    missing."""
    estimated: bool
    """``true`` if ``relative_l2`` is estimated from a sketch, because the tensor was not kept."""


@dataclass(frozen=True)
class CaseDistance:
    """One distance that a tier compares with its threshold."""

    value: float | None
    """A distance: larger is worse. ``None``: it could not be computed."""
    threshold: float
    """Largest value that is harmless."""
    note: str | None = None
    """Reason for a missing value. ``None``: there is a value."""

    @property
    def holds(self) -> bool:
        """``True`` if there is a value within the threshold; NaN is not."""
        return self.value is not None and self.value <= self.threshold


@dataclass(frozen=True)
class GoldenKey:
    """One key of the environment that differs from the golden's."""

    key: str
    """Name of the key."""
    golden: object
    """Value of the key when the golden was recorded."""
    here: object
    """Value of the key on this machine."""


@dataclass(frozen=True)
class CheckedCase:
    """The verdict on one case."""

    name: str
    """Name of the case."""
    verdict: Verdict
    """``pass``, ``regression``, ``uncovered`` or ``error``."""
    tier: Tier | None
    """Tier that applied. ``None``: none did."""
    message: str
    """The outcome in one line."""
    first_divergence: StageDifference | None = None
    """First stage that differs. ``None``: none does, or the case passes."""
    fingerprint_difference: tuple[GoldenKey, ...] = ()
    """Keys of the environment that differ from the golden's."""
    figures: Mapping[str, CaseDistance] = field(default_factory=dict)
    """Distances that the tier computed, by name."""
    stages: tuple[StageDifference, ...] = ()
    """Every stage, in order; empty if nothing ran."""
    identical: bool = False
    """``true`` if everything is bit for bit equal, which the tier may not require."""
    own: tuple[StageDifference, ...] = ()
    """With ``--explain``: the difference of each stage when it is fed the golden's tensors."""
    causes: tuple[str, ...] = ()
    """With ``--explain``: stages that differ although their inputs were the golden's."""
    explanation: str | None = None
    """``causes`` in words. ``None``: not explained."""
    fingerprints: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """All keys of the environment, by ``golden`` and ``here``; empty if either is unknown."""
    has_golden: bool = True
    """``false`` if no golden of the case is recorded yet."""
    wall_s: float | None = field(default=None, metadata=OMITTED)
    """Time that drawing and judging took, in seconds. Absent if nothing ran."""


@dataclass(frozen=True)
class GoldenCheck:
    """The ``golden check`` document."""

    verdict: Verdict
    """Worst verdict of all cases; ``uncovered`` if there is none."""
    cases: tuple[CheckedCase, ...]
    """The cases, then the folders that no case names."""
    occasion: Occasion | None = field(default=None, metadata=OMITTED)
    """When, where and of which code they were drawn. Absent if none was."""


@dataclass(frozen=True)
class GoldenRecorded:
    """The ``golden record`` document."""

    recorded: tuple[str, ...]
    """Names of the cases."""
    processes: int
    """Number of fresh processes that drew the same bits."""
    bound95: float
    """Share of processes that might draw other bits, at most, with 95% confidence."""


@dataclass(frozen=True)
class AcceptedCase:
    """One outcome that was accepted."""

    name: str
    """Name of the case."""
    outcome: str
    """sha256 of all stages."""
    parent: str | None
    """Outcome of the golden before. ``None``: there was none, or it stays."""
    expires: str | None
    """Day until which it is accepted next to the golden. ``None``: it is the golden now."""
    was_known_bad: str | None
    """Reason why it had been rejected. ``None``: it had not."""


@dataclass(frozen=True)
class GoldenAccepted:
    """The ``golden accept`` document."""

    accepted: tuple[AcceptedCase, ...]
    """The outcomes that were accepted."""


@dataclass(frozen=True)
class GoldenRejected:
    """The ``golden reject`` document."""

    name: str
    """Name of the case."""
    outcome: str
    """sha256 of all stages."""
    reason: str
    """Reason why it is known to be bad."""


@dataclass(frozen=True)
class ListedCase:
    """One case of a golden library."""

    name: str
    """Name of the case."""
    overrides: tuple[str, ...]
    """Settings of the case, as KEY=VALUE."""
    outcome: str | None
    """sha256 of all stages of its golden. ``None``: it has no golden."""
    accepted_by: str | None
    """Person who accepted the golden. ``None``: it has no golden."""
    accepted_at: str | None
    """Time of acceptance, in ISO 8601. ``None``: it has no golden."""
    reason: str | None
    """Reason for accepting it. ``None``: it has no golden."""
    beside: int
    """Number of outcomes that are accepted next to the golden for a time."""
    known_bad: int
    """Number of outcomes that are known to be bad."""


@dataclass(frozen=True)
class GoldenList:
    """The ``golden list`` document."""

    root: Path
    """Folder of the goldens, an absolute path."""
    goldens: tuple[ListedCase, ...]
    """The cases."""


@dataclass(frozen=True)
class GoldenPruned:
    """The ``golden prune`` document."""

    removed: tuple[str, ...]
    """Names of the folders that were removed."""


@dataclass(frozen=True)
class Margin:
    """One threshold and what it was measured from."""

    threshold: float
    """Largest value that is harmless."""
    observed: float
    """Largest value that harmless changes gave."""
    n: int
    """Number of values that ``observed`` is the largest of."""


Thresholds = Mapping[str, Mapping[str, Margin]]
"""Thresholds, by tier and then by distance."""


@dataclass(frozen=True)
class ThresholdProvenance:
    """Origin of the thresholds."""

    safety: float
    """Factor from the largest observed value to the threshold."""
    ratchet: float
    """Factor by which a stored threshold may exceed a new one before it is loose."""
    cases: int
    """Number of cases that ran under each change."""
    by_change: Mapping[str, Mapping[str, float]]
    """Worst value of each distance, by harmless change."""
    identical: Mapping[str, int]
    """Number of cases that stayed bit for bit equal, by harmless change."""
    keys: Mapping[str, object]
    """Keys of the environment."""
    packages: Mapping[str, str]
    """Versions of torch and diffusers."""


@dataclass(frozen=True)
class GoldenCalibration:
    """The ``golden calibrate`` document."""

    loose: tuple[str, ...]
    """Stored thresholds that are far above what is observed now."""
    thresholds: Thresholds
    """Thresholds, by tier and then by distance."""
    provenance: ThresholdProvenance
    """Origin of the thresholds."""


@dataclass(frozen=True)
class FaultOutcome:
    """Outcome of the goldens on one fault."""

    name: str
    """Name of the fault."""
    caught: bool
    """``true`` if a case caught it at T0."""
    by_tier: Mapping[str, bool | None]
    """``true`` if a case caught it, by tier. ``None``: no case can show it at that tier."""
    cases: int
    """Number of cases that can show it."""
    first_divergence: StageDifference | None
    """First stage that differs in the first case that caught it. ``None``: none did."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Worst value of each distance as a fraction of its threshold, by name, such as
    ``T1 window_density``. Values up to 1 are not detected."""
    worst_by_tier: Mapping[str, float] = field(default_factory=dict)
    """Largest value of ``figures`` at each tier. A tier at which no bit changed is absent."""
    above_noise: tuple[Tier, ...] = ()
    """Tiers that missed it although a distance exceeds every harmless change."""


@dataclass(frozen=True)
class HarmlessOutcome:
    """Outcome of the goldens on one harmless change."""

    name: str
    """Name of the change."""
    alarm: bool
    """``true`` if any case raised an alarm at the tier of the change."""
    tier: Tier
    """Tier of the change."""
    cases: int
    """Number of cases that ran."""


@dataclass(frozen=True)
class GoldenMutation:
    """The ``golden mutate`` document."""

    score: float
    """Share of the faults that were caught at T0, of those that any case can show."""
    faults: tuple[FaultOutcome, ...]
    """The faults."""
    harmless: tuple[HarmlessOutcome, ...]
    """The harmless changes."""


@dataclass(frozen=True)
class Invariance:
    """One change that must not affect the result."""

    name: str
    """Name, such as batch position or prompt order."""
    tier: Tier
    """``T0``: bit for bit; ``T1``: within the golden's calibrated thresholds."""
    holds: bool | None
    """``true`` if it affected no case. ``None``: it applies to no case."""
    cases: int
    """Number of cases that it applies to."""
    max_abs: int | None
    """Largest difference of a pixel, in levels of 255. ``None``: hashes were compared."""
    note: str
    """Description of the comparison."""


@dataclass(frozen=True)
class GoldenInvariance:
    """The ``golden invariance`` document."""

    verdict: Verdict
    """``pass``, or ``regression`` if any change affected a result."""
    rows: tuple[Invariance, ...]
    """Changes that must not affect the result."""
