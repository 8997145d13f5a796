"""Documents of ``upgrade`` and ``bisect``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turbo_lab.documents.gate import CheckResult, IdenticalImages
from turbo_lab.documents.golden import StageDifference
from turbo_lab.documents.timing import PairResult
from turbo_lab.verdict import Verdict


@dataclass(frozen=True)
class PackageChange:
    """One package whose version or source differs between the two environments."""

    name: str
    """Normalised name of the package."""
    here: str | None
    """Version in this environment. ``None``: it is not installed here."""
    candidate: str
    """Version in the candidate's environment."""
    is_asked: bool
    """``true`` if it was asked for; ``false`` if another package needs it."""
    source: str | None = None
    """Wheel, folder or address that it was installed from. ``None``: an index."""


@dataclass(frozen=True)
class UpgradeCase:
    """One golden case, drawn in both environments."""

    name: str
    """Name of the case."""
    verdict: Verdict
    """``pass``, ``regression``, ``uncovered`` or ``error``."""
    message: str
    """The outcome in one line."""
    identical: bool
    """``true`` if every stage is bit for bit equal in both environments."""
    golden: Verdict
    """Verdict of the candidate's run against the accepted golden."""
    golden_here: Verdict
    """Verdict of this environment's run against the accepted golden."""
    first_difference: StageDifference | None = None
    """First stage that differs between the environments. ``None``: none does, or one of them
    could not draw."""
    stages: tuple[StageDifference, ...] = ()
    """Every stage, in order, as the candidate's difference from this environment's; empty if one
    of them could not draw."""
    causes: tuple[str, ...] = ()
    """Stages that differ although their inputs were this environment's; empty if none differs."""


@dataclass(frozen=True)
class StageChange:
    """One kind of stage, over all cases."""

    kind: str
    """Kind of stage, such as ``unet``."""
    cases: int
    """Number of cases in which such a stage differs."""
    of: int
    """Number of cases that have such a stage."""
    first_in: int
    """Number of cases in which it is the first that differs."""
    cause_in: int
    """Number of cases in which it differs although its inputs do not."""
    max_abs: float | None
    """Largest absolute difference. ``None``: none differs."""
    relative_l2: float | None
    """Largest norm of a difference over that of this environment's tensor. ``None``: likewise."""


@dataclass(frozen=True)
class UpgradeReport:
    """The ``upgrade`` document."""

    verdict: Verdict
    """Worst verdict of all checks."""
    gate: str
    """Name of the policy."""
    requirements: tuple[str, ...]
    """Requirements of the candidate, as they were asked for."""
    words: tuple[str, ...]
    """Settings of the pipeline and of the policy, as KEY=VALUE."""
    packages: tuple[PackageChange, ...]
    """Packages that differ between the environments."""
    checks: tuple[CheckResult, ...]
    """The checks of the policy that an upgrade has."""
    cases: tuple[UpgradeCase, ...]
    """The golden cases."""
    stages: tuple[StageChange, ...]
    """Kinds of stages, in order."""
    identical_images: IdenticalImages | None
    """Images with equal pixels in both environments. ``None``: none were compared."""
    timing: PairResult | None
    """Latency of the candidate (B) against this environment (A). ``None``: not timed."""
    notes: tuple[str, ...]
    """Remarks, such as checks of the policy that an upgrade does not make."""
    environment: Path
    """Folder of the candidate's environment."""
    made_s: float | None
    """Time that making the environment took, in seconds. ``None``: it was in the cache."""
    lock: Path
    """File with the exact version of every package of the candidate."""
    python: str
    """Version of Python of both environments."""
    wall_s: float
    """Time of the whole command, in seconds."""
    steps_s: Mapping[str, float] = field(default_factory=dict)
    """Time of each step, in seconds."""
    date: str = ""
    """Date and time in UTC."""


@dataclass(frozen=True)
class BisectVersion:
    """One version or commit of a bisection."""

    version: str
    """Version, or the first digits of a commit."""
    status: str
    """``same`` as the reference, ``changed``, ``skipped``, or ``untested``."""
    note: str
    """Outcome in one line, or why it was skipped; empty if it was not tested."""
    packages: tuple[PackageChange, ...] = ()
    """Packages that differ from those of this environment; empty if it was not tested, or is what
    is installed here."""


@dataclass(frozen=True)
class BisectChange:
    """One change that a bisection found."""

    last_same: str
    """Last version that is as the reference."""
    first_changed: str
    """First version that is not, of those that could be tested."""
    skipped: tuple[str, ...]
    """Versions in between that could not be tested: the change may be in one of them."""
    title: str
    """First line of the commit's message; empty for a release."""
    note: str
    """Outcome of the test on the first changed version, in one line."""
    first_stage: str | None
    """First stage that differs. ``None``: no golden case was compared, or none could be drawn."""
    stages: tuple[StageChange, ...]
    """Kinds of stages, in order; empty likewise."""
    other_packages: tuple[PackageChange, ...]
    """Packages other than the bisected one that change at the same version; ``here`` is that of
    the last version that is the same."""
    cause: str | None
    """Package that is the cause, tested with the other ones kept as they were. ``None``: other
    packages change too, and could not be kept."""


@dataclass(frozen=True)
class BisectReport:
    """The ``bisect`` document."""

    outcome: str
    """``found``, ``no change``, ``changed from the start`` or ``untestable``."""
    range: str
    """The range that was asked for."""
    test: str
    """The test: ``bits``, ``golden``, ``crash``, ``latency`` or a metric."""
    words: tuple[str, ...]
    """Settings of the pipeline and of the policy, as KEY=VALUE."""
    reference: str | None
    """Version that the others are compared with. ``None``: none could be tested."""
    versions: tuple[BisectVersion, ...]
    """The versions, the oldest first."""
    changes: tuple[BisectChange, ...]
    """The changes found, the oldest first."""
    environments_run: int
    """Number of environments that ran, those of an interrupted run included."""
    wall_s: float
    """Time of this command, in seconds."""
    date: str = ""
    """Date and time in UTC."""

    @property
    def exit_code(self) -> int:
        """Exit code: 0 if the question is answered, 3 if a change may be in several versions."""
        if self.outcome == "untestable":
            return 4
        return 3 if any(one.skipped for one in self.changes) else 0
