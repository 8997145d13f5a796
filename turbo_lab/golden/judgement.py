"""The verdict on one case: a run against its golden.

Owns the rules. A run is always compared with the accepted anchor, never with the latest
run. A metric that cannot be computed gives ``error``, never ``pass``. Pure: no files, no
pipeline, no clock.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from turbo_lab.documents.golden import CaseDistance, Margin, StageDifference, Thresholds, Tier
from turbo_lab.environment import Keys
from turbo_lab.golden.distances import (
    TIER_METRICS,
    Distance,
    Embed,
    measure_distances,
    threshold_name,
)
from turbo_lab.golden.document import Accepted, Golden
from turbo_lab.golden.library import StoredTensors
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.stages import differences, first_non_finite
from turbo_lab.golden.tiers import KeyDifference, TierChoice, choose_tier, unread_keys
from turbo_lab.golden.tolerance import Tolerance, pixel_difference
from turbo_lab.verdict import Verdict

CASE_CHANGED = "the case is another cell now (its model, scheduler or settings changed)"


@dataclass(frozen=True)
class CaseVerdict:
    """The verdict on one case, with the evidence for it."""

    name: str
    """Name of the golden."""
    verdict: Verdict
    """``PASS``, ``REGRESSION``, ``UNCOVERED`` or ``ERROR``."""
    tier: Tier | None
    """Tier that applied; ``None`` if none did."""
    message: str
    """The outcome in one line."""
    first_divergence: StageDifference | None = None
    """First stage that differs; ``None`` if none does, or the case passes."""
    fingerprint_difference: tuple[KeyDifference, ...] = ()
    """Keys of the environment that differ from the golden's."""
    metrics: Mapping[str, CaseDistance] = field(default_factory=dict)
    """Metrics of the tier, by name."""
    stages: tuple[StageDifference, ...] = ()
    """Every stage, in order; empty if nothing ran."""
    identical: bool = False
    """True if every stage is identical to the bit, which the tier may not require."""

    @classmethod
    def without_tier(
        cls,
        name: str,
        verdict: Verdict,
        message: str,
        *,
        differs: tuple[KeyDifference, ...] = (),
    ) -> CaseVerdict:
        """Return the verdict on a case that was not compared at any tier."""
        return cls(name, verdict, None, message, fingerprint_difference=differs)


@dataclass(frozen=True)
class Judge:
    """A judge of golden cases, and everything but the evidence that its verdicts depend on."""

    thresholds: Thresholds
    """Thresholds of goldens that carry none, by tier, then by metric."""
    today: datetime.date
    """Day on which acceptances have to be valid, in UTC."""
    embed: Embed | None = None
    """Image embedding for T2; with ``None``, a case at T2 that is not identical is an error."""
    remedy: str | None = None
    """Advice on a case that changed; ``None``: :func:`accept_hint`."""
    tolerance: Tolerance | None = None
    """Difference of pictures that is accepted at any tier; ``None``: none."""

    def judge(
        self, golden: Golden, stored: StoredTensors, seen: Observation, tier: Tier | None = None
    ) -> CaseVerdict:
        """Compare a run with its golden.

        ``tier``: judge at this tier, regardless of the fingerprints; trials do.
        """
        if seen.cell_id != golden.cell_id:
            message = f"{CASE_CHANGED}; {self.remedy or accept_hint(golden.name)}"
            return CaseVerdict.without_tier(golden.name, Verdict.UNCOVERED, message)
        choice = choose_case_tier(golden, seen.fingerprint.keys, self.today)
        if tier is not None:
            choice = TierChoice(tier, choice.differs, None)
        if choice.tier is None:
            return CaseVerdict.without_tier(
                golden.name, Verdict.UNCOVERED, choice.reason or "", differs=choice.differs
            )
        case = CaseVerdict(
            name=golden.name,
            verdict=Verdict.PASS,
            tier=choice.tier,
            message="identical to the bit",
            fingerprint_difference=choice.differs,
            stages=tuple(differences(golden.stages, stored.tensors, seen.stages, seen.marks)),
            identical=seen.outcome == golden.outcome,
        )
        if (stage := first_non_finite(seen.marks)) is not None:  # no tier tolerates it
            return _regression(case, f"non-finite values (NaN or infinity), first in {stage}")
        accepted = golden.acceptance_of(seen.outcome, self.today)
        if accepted is not None:
            return case if case.identical else replace(case, message=_accepted_message(accepted))
        if seen.outcome in golden.known_bad:
            return _regression(case, f"known bad: {golden.known_bad[seen.outcome]}")
        return self._judge_difference(case, golden, stored, seen)

    def _judge_difference(
        self, case: CaseVerdict, golden: Golden, stored: StoredTensors, seen: Observation
    ) -> CaseVerdict:
        """Judge a run whose outcome was neither accepted nor rejected."""
        assert case.tier is not None
        found = pixel_difference(stored.pixels, seen.pixels) if self.tolerance else None
        if self.tolerance and found and self.tolerance.allows(found):
            return replace(case, message=f"within the test's tolerance: {found.text}")
        if case.tier == "T0":
            # The anchor may be of another environment: a stage is off if it differs by more
            # than rounding.
            rounding = self.margins(golden, "T1") if case.fingerprint_difference else {}
            reason = _why_not_identical(golden, stored, seen)
            return _regression(case, f"{reason}, on the same fingerprint", rounding)
        distances = measure_distances(
            stored.pixels, seen.pixels, case.stages, case.tier, embed=self.embed
        )
        return _judge_distances(case, self.margins(golden, case.tier), distances)

    def margins(self, golden: Golden, tier: Tier) -> Mapping[str, Margin]:
        """Return the golden's own thresholds at a tier, or this judge's if it has none."""
        return golden.thresholds.get(tier) or self.thresholds.get(tier) or {}


def choose_case_tier(golden: Golden, here: Keys, today: datetime.date) -> TierChoice:
    """Return the tier at which a golden applies to an environment.

    It is T0 also in another environment that has its own valid acceptance.
    """
    choice = choose_tier(golden.fingerprint.keys, here)
    has_acceptance = any(
        dict(accepted.keys) == dict(here) and accepted.is_valid(today)
        for accepted in golden.accepted
    )
    if has_acceptance and not unread_keys(here):
        return TierChoice("T0", choice.differs, None)
    return choice


def accept_hint(name: str) -> str:
    """Return the advice on a case that has changed on purpose."""
    return f"if it is meant: turbo-lab golden accept {name} --reason TEXT"


def _accepted_message(accepted: Accepted) -> str:
    until = f" until {accepted.expires}" if accepted.expires else ""
    return f"accepted next to the anchor{until}: {accepted.reason}"


def _why_not_identical(golden: Golden, stored: StoredTensors, seen: Observation) -> str:
    expected, actual = stored.pixels.shape, seen.pixels.shape
    if expected != actual:
        return f"images are {actual}, the golden's {expected}"
    expired = [accepted for accepted in golden.accepted if accepted.outcome == seen.outcome]
    if expired:
        return f"accepted until {expired[-1].expires} ({expired[-1].reason}), which has passed"
    return "not identical"


def _regression(
    case: CaseVerdict, message: str, margins: Mapping[str, Margin] | None = None
) -> CaseVerdict:
    first = _first_divergence(case.stages, margins or {})
    return replace(case, verdict=Verdict.REGRESSION, message=message, first_divergence=first)


def _judge_distances(
    case: CaseVerdict, margins: Mapping[str, Margin], distances: Mapping[str, Distance]
) -> CaseVerdict:
    margins = _with_own_stages(case, margins, distances)
    missing = [name for name in distances if name not in margins]
    if missing:
        message = f"no threshold for {', '.join(missing)}; run turbo-lab golden calibrate --write"
        return replace(case, verdict=Verdict.ERROR, message=message)
    metrics = {
        name: CaseDistance(distance.value, margins[name].threshold, distance.reason)
        for name, distance in distances.items()
    }
    case = replace(case, message="within the thresholds", metrics=metrics)
    failed = [f"{name} ({metric.note})" for name, metric in metrics.items() if metric.note]
    if failed:
        return replace(
            case,
            verdict=Verdict.ERROR,
            message=f"could not be computed: {', '.join(failed)}",
            first_divergence=_first_divergence(case.stages, margins),
        )
    exceeded = [
        f"{name} {metric.value:.3g} above {metric.threshold:.3g}"
        for name, metric in metrics.items()
        if not metric.holds
    ]
    return _regression(case, ", ".join(exceeded), margins) if exceeded else case


def _with_own_stages(
    case: CaseVerdict, margins: Mapping[str, Margin], distances: Mapping[str, Distance]
) -> Mapping[str, Margin]:
    """Give stages that a pipeline does not have the threshold of its latents."""
    latents = margins.get("latents_relative_l2")
    if latents is None or case.tier is None:
        return margins
    own = [name for name in distances if name not in TIER_METRICS[case.tier]]
    return {**dict.fromkeys(own, latents), **margins}


def _first_divergence(
    stages: Sequence[StageDifference], margins: Mapping[str, Margin]
) -> StageDifference | None:
    """Return the first stage beyond the threshold of its kind, or else the first that differs."""
    different = [stage for stage in stages if not stage.equal]
    for stage in different:
        margin = margins.get(threshold_name(stage.stage))
        size = stage.relative_l2
        if margin is None or size is None or not size <= margin.threshold:  # NaN is beyond it
            return stage
    return different[0] if different else None
