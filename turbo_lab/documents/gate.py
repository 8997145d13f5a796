"""Documents of the ``gate`` commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turbo_lab.documents.occasion import Occasion
from turbo_lab.environment import GitState
from turbo_lab.untrusted.typed_json import INLINE, OMITTED
from turbo_lab.verdict import Direction, Verdict

PromptChange = tuple[str, float]
"""A prompt, and the candidate's difference on it."""


@dataclass(frozen=True)
class GateGolden:
    """One golden case that a gate judged."""

    name: str
    """Name of the case."""
    verdict: Verdict
    """``pass``, ``regression``, ``uncovered`` or ``error``."""
    tier: str | None
    """Tier that applied. ``None``: none did."""
    message: str
    """The outcome in one line."""
    first_divergence: str | None
    """Name of the first stage that differs. ``None``: none does, or the case passes."""
    wall_s: float
    """Time that drawing and judging took, in seconds."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Result of one comparison of a metric, or of one check of a gate."""

    name: str
    """Name of the metric or the check."""
    verdict: Verdict
    """Outcome of the comparison or check."""
    value: float | None = None
    """The candidate's value; ``None`` if there is none."""
    baseline: float | None = None
    """The baseline's value; ``None`` if there is none."""
    difference: float | None = None
    """Candidate minus baseline, or ratio minus 1; ``None`` if there is none."""
    ci95: tuple[float, float] | None = None
    """95% interval of the difference; ``None`` if there is none."""
    margin: float | None = None
    """Largest loss that the candidate may have; ``None`` if the check has no margin."""
    n: int
    """Number of pairs, or of clusters of them."""
    minimum_detectable_effect: float | None = None
    """Smallest difference that this many pairs show with 80% power; ``None`` if unknown."""
    unit: str = ""
    """Unit of the value."""
    direction: Direction = Direction.NONE
    """Direction in which the value is better."""
    note: str | None = None
    """Remark for the reader; ``None`` if there is none."""
    p_value: float | None = None
    """p-value of "the difference is within the margin", adjusted by Holm; ``None``: not tested."""
    needed_n: int | None = None
    """Approximate number of pairs that would decide an undecided check; ``None``: it is decided, or
    no number would decide it."""
    wall_s: float | None = field(default=None, metadata=OMITTED)
    """Time that the check took once the sides were drawn, in seconds. Absent if it took none."""
    goldens: tuple[GateGolden, ...] | None = field(default=None, metadata=OMITTED)
    """The cases of the check ``goldens``. Absent in other checks."""

    @classmethod
    def without_value(
        cls, name: str, verdict: Verdict, note: str | None, n: int = 0
    ) -> CheckResult:
        """Return the result of a check that has a verdict but measures nothing."""
        return cls(name=name, verdict=verdict, note=note, n=n)


@dataclass(frozen=True)
class IdenticalImages:
    """Images that have the baseline's pixels: reported, never judged."""

    same: int
    """Number of images with the baseline's pixels."""
    of: int
    """Number of images."""


@dataclass(frozen=True)
class BaselineKey:
    """One key of the environment that differs from the baseline's."""

    key: str
    """Name of the key."""
    baseline: object
    """Value of the key for the baseline."""
    here: object
    """Value of the key for the candidate."""


@dataclass(frozen=True)
class GateSide:
    """One side of a gate, by content."""

    record_id: str
    """Id of its record: cell, environment and exactness."""
    digest: str
    """sha256 of its measurements and pixel hashes."""
    weights: Mapping[str, str]
    """sha256 of its weights, by ``model``, ``adapter 1`` and so on, and ``vae``."""
    fingerprint: Mapping[str, object]
    """Keys of the environment that it was drawn in: versions, device and settings."""


@dataclass(frozen=True)
class GateReport:
    """The ``gate`` document."""

    verdict: Verdict
    """Worst verdict of all checks."""
    gate: str
    """Name of the policy."""
    checks: tuple[CheckResult, ...]
    """The checks of the policy."""
    candidate: tuple[str, ...]
    """Command line of the candidate."""
    baseline: tuple[str, ...] | str
    """Command line of the baseline, or the name of a stored one."""
    baseline_digest: str | None
    """sha256 of the baseline's measurements. ``None``: there is no baseline."""
    prompts: Mapping[str, tuple[PromptChange, ...]]
    """For each metric that did not pass: the prompts that changed most, as pairs of prompt and
    difference."""
    identical_images: IdenticalImages | None
    """Images that have the baseline's pixels. ``None``: there is no baseline."""
    from_store: int | None
    """Number of the candidate's images that were in the store. ``None``: nothing was drawn."""
    fingerprint: Mapping[str, object]
    """Keys of the environment; empty if nothing was drawn."""
    fingerprint_difference: tuple[BaselineKey, ...]
    """Keys of the environment that differ from the baseline's."""
    date: str = ""
    """Date and time of the gate in UTC, such as ``2026-11-27T17:05:00+00:00``."""
    git: GitState | None = None
    """Repository of the working directory. ``None``: it was not in one."""
    sides: Mapping[str, GateSide] = field(default_factory=dict)
    """Content of the sides, by ``candidate`` and ``baseline``; empty if nothing was drawn."""
    occasion: Occasion | None = field(default=None, metadata=OMITTED)
    """When, where and of which code it was measured. Absent in documents of older versions."""


@dataclass(frozen=True)
class MetricCalibration:
    """Calibration of one margin with equal pipelines."""

    name: str
    """Name of the metric."""
    margin: float
    """Margin of the policy."""
    passes: float
    """Share of simulated gates of equal pipelines that pass."""
    smallest_margin: float
    """Smallest margin that equal pipelines pass."""
    holds: bool
    """``true`` if the margin is above the noise."""
    power: float | None
    """Share of losses of twice the margin that are detected. ``None``: not measured."""


@dataclass(frozen=True)
class GateCalibration:
    """Rate at which a gate would fail equal pipelines."""

    false_alarms: int
    """Number of simulated gates of equal pipelines that fail."""
    resamples: int
    """Number of simulated gates."""
    rate_ci95: tuple[float, float]
    """95% interval of the rate of false alarms."""
    metrics: tuple[MetricCalibration, ...]
    """The margins."""


@dataclass(frozen=True)
class GateCalibrated:
    """The ``gate calibrate`` document."""

    found: GateCalibration = field(metadata=INLINE)
    """Simulated gates."""
    real: tuple[GateReport, ...]
    """Whole gates of equal pipelines, each on two seed sets that no other gate uses."""


@dataclass(frozen=True)
class CatchRate:
    """Number of faults that one check caught."""

    caught: int
    """Number of faults that the check did not pass."""
    asked: int
    """Number of faults that the check was asked about."""


@dataclass(frozen=True)
class BlindnessOutcome:
    """Verdicts of the checks of a gate on one fault."""

    name: str
    """Name of the fault."""
    setting: str
    """Settings at which it was tried; empty: those of the candidate."""
    caught: bool
    """``true`` if any check did not pass."""
    verdicts: Mapping[str, str]
    """Verdict of each check, by name."""
    differences: Mapping[str, float | None]
    """Difference of each check, by name. ``None``: the check measures none."""


@dataclass(frozen=True)
class GateMutation:
    """The ``gate mutate`` document."""

    score: float
    """Share of the faults that were caught."""
    catch_rates: Mapping[str, CatchRate]
    """Faults caught by each check, by name, and by the whole ``gate``."""
    faults: tuple[BlindnessOutcome, ...]
    """The faults."""
