"""The verdict on one case: an observation against its golden.

Owns which figures a tier looks at and the rule on them. The comparison is always
with the accepted anchor, never with a latest run. A figure that cannot be
computed is an ``error``, never a pass.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from turbo_lab.analysis.similarity import tile_ssim, window_density
from turbo_lab.documents.golden import CaseDistance, Margin, StageDifference, Thresholds, Tier
from turbo_lab.environment import Fingerprint, Keys
from turbo_lab.golden.document import Accepted, Golden
from turbo_lab.golden.library import StoredTensors
from turbo_lab.golden.stages import (
    STAGE_KINDS,
    StageMark,
    StageValue,
    Values,
    differences,
    first_non_finite,
    mark,
    outcome_digest,
    stage_kind,
)
from turbo_lab.golden.tiers import TierChoice, choose_tier, unread_keys
from turbo_lab.verdict import Verdict

# A pixel that differs by no more levels than this does not count as differing.
WINDOW_TOLERANCE: Mapping[Tier, int] = {"T1": 2, "T2": 16}
# By tier; every figure is a distance, so larger is worse.
FIGURES: Mapping[Tier, tuple[str, ...]] = {
    "T0": (),
    "T1": ("latents_max_abs", "latents_relative_l2", "vae_relative_l2", "window_density"),
    "T2": ("window_density", "tile_ssim_loss", "embedding_distance"),
}
_STAGE_OF = {
    "latents_max_abs": "latents",
    "latents_relative_l2": "latents",
    "vae_relative_l2": "vae",
    # The judge that ships knows what pipelines draw, and nothing of a test's own pictures.
    "embedding_distance": "latents",
}
# Names of a stage's own threshold, which locates a divergence and never judges.
STAGE_FIGURE = "stage_relative_l2"

OTHER_WORK = "the case names other work now (model, scheduler or settings)"

Embed = Callable[[Values], Values]
# A figure, or why there is none.
Taken = tuple[float | None, str | None]


@dataclass(frozen=True)
class Observation:
    """One run of a case here."""

    cell_id: str
    """Of the cell that ran."""
    stages: tuple[StageValue, ...]
    """In order; ``pixels``, (N, H, W, 3) uint8 as read back from the PNG files, is the last."""
    fingerprint: Fingerprint
    """Environment that made it."""

    @cached_property
    def marks(self) -> tuple[StageMark, ...]:
        """Of every stage, taken once."""
        return tuple(mark(value) for value in self.stages)

    @property
    def outcome(self) -> str:
        """Digest over all stages."""
        return outcome_digest(self.marks)

    def pixels(self) -> Values:
        """(N, H, W, 3) uint8."""
        return self.stages[-1].values


@dataclass(frozen=True)
class CaseVerdict:
    """What is said of one case."""

    name: str
    """Of the golden."""
    verdict: Verdict
    """``PASS``, ``REGRESSION``, ``UNCOVERED`` or ``ERROR``."""
    tier: Tier | None
    """The tier that applied; ``None`` where none did."""
    message: str
    """One line for people."""
    first_divergence: StageDifference | None = None
    """Where a failing case first left its golden."""
    fingerprint_difference: tuple[tuple[str, Any, Any], ...] = ()
    """(key, the golden's, here)."""
    figures: Mapping[str, CaseDistance] = field(default_factory=dict)
    """By name."""
    stages: tuple[StageDifference, ...] = ()
    """Every stage in order; empty where nothing ran."""
    identical: bool = False
    """True if identical to the bit, regardless of the tier."""


def judge(
    golden: Golden,
    material: StoredTensors,
    seen: Observation,
    thresholds: Thresholds,
    today: datetime.date,
    embed: Embed | None = None,
    tier: Tier | None = None,
    remedy: str | None = None,
) -> CaseVerdict:
    """Compare a run with its golden.

    ``embed``: (N, H, W, 3) uint8 to (N, d) features, for T2. ``tier``: judge at
    this tier, regardless of the fingerprint; for calibration and mutation.
    ``remedy``: what is said of a case that names other work, if not :func:`if_meant`.
    """
    choice = choose(golden, seen.fingerprint.keys, today)
    if tier is not None:
        choice = TierChoice(tier, choice.differs, None)
    if seen.cell_id != golden.cell_id:
        message = f"{OTHER_WORK}; {remedy or if_meant(golden.name)}"
        return CaseVerdict(golden.name, Verdict.UNCOVERED, None, message)
    if choice.tier is None:
        reason = choice.reason or ""
        return CaseVerdict(
            golden.name, Verdict.UNCOVERED, None, reason, fingerprint_difference=choice.differs
        )
    outcome = seen.outcome
    case = CaseVerdict(
        name=golden.name,
        verdict=Verdict.PASS,
        tier=choice.tier,
        message="identical to the bit",
        fingerprint_difference=choice.differs,
        stages=tuple(differences(golden.stages, material.tensors, seen.stages, seen.marks)),
        identical=outcome == golden.outcome,
    )
    if (stage := first_non_finite(seen.marks)) is not None:  # no tier tolerates it
        return _regression(case, f"non-finite values (NaN or infinity), first in {stage}")
    beside = golden.standing(outcome, today)
    if beside is None and outcome in golden.known_bad:
        return _regression(case, f"known bad: {golden.known_bad[outcome]}")
    if beside is not None:
        return case if case.identical else replace(case, message=_beside(beside))
    if choice.tier == "T0":
        # Beside an anchor of another environment, rounding is no divergence.
        rounding = margins_of(golden, thresholds, "T1") if choice.differs else None
        why = _why_not_identical(golden, material, seen)
        return _regression(case, f"{why}, on the same fingerprint", rounding)
    margins = margins_of(golden, thresholds, choice.tier)
    values = measure_figures(material.tensors, case.stages, seen, tier=choice.tier, embed=embed)
    return _judge_figures(case, margins, values)


def _beside(acceptance: Accepted) -> str:
    until = f" until {acceptance.expires}" if acceptance.expires else ""
    return f"accepted next to the anchor{until}: {acceptance.reason}"


def _why_not_identical(golden: Golden, material: StoredTensors, seen: Observation) -> str:
    size, here = material.tensors["pixels"].shape, seen.pixels().shape
    if size != here:
        return f"images are {here}, the golden's {size}"
    expired = [a for a in golden.accepted if a.outcome == seen.outcome]
    if expired:
        return f"accepted until {expired[-1].expires} ({expired[-1].reason}), which has passed"
    return "not identical"


def choose(golden: Golden, here: Keys, today: datetime.date) -> TierChoice:
    """The tier for an environment's keys: T0 also where it has an accepted outcome of its own."""
    choice = choose_tier(golden.fingerprint.keys, here)
    own = any(dict(a.keys) == dict(here) and a.stands(today) for a in golden.accepted)
    if own and not unread_keys(here):
        return TierChoice("T0", choice.differs, None)
    return choice


def if_meant(name: str) -> str:
    """What to run where a case has changed on purpose."""
    return f"if that is meant: turbo-lab golden accept {name} --reason TEXT"


def margins_of(golden: Golden, thresholds: Thresholds, tier: Tier) -> Mapping[str, Margin]:
    """The golden's own thresholds at a tier, else those that ``thresholds`` has."""
    return golden.thresholds.get(tier) or thresholds.get(tier) or {}


def _regression(
    case: CaseVerdict, message: str, margins: Mapping[str, Margin] | None = None
) -> CaseVerdict:
    first = _first(case.stages, margins)
    return replace(case, verdict=Verdict.REGRESSION, message=message, first_divergence=first)


def _judge_figures(
    case: CaseVerdict,
    margins: Mapping[str, Margin],
    values: Mapping[str, Taken],
) -> CaseVerdict:
    if like := margins.get("latents_relative_l2"):
        of_tier = FIGURES[case.tier] if case.tier else ()
        margins = {**{name: like for name in values if name not in of_tier}, **margins}
    lacking = [name for name in values if name not in margins]
    if lacking:
        text = f"no threshold for {', '.join(lacking)}: run turbo-lab golden calibrate --write"
        return replace(case, verdict=Verdict.ERROR, message=text)
    figures = {
        name: CaseDistance(value, margins[name].threshold, note)
        for name, (value, note) in values.items()
    }
    case = replace(case, message="within the thresholds", figures=figures)
    missing = [f"{name} ({figure.note})" for name, figure in figures.items() if figure.note]
    if missing:
        text = f"could not be computed: {', '.join(missing)}"
        first = _first(case.stages, margins)
        return replace(case, verdict=Verdict.ERROR, message=text, first_divergence=first)
    broken = [
        f"{name} {figure.value:.3g} above {figure.threshold:.3g}"
        for name, figure in figures.items()
        if not figure.holds
    ]
    return _regression(case, ", ".join(broken), margins) if broken else case


def measure_figures(
    tensors: Mapping[str, Values],
    stages: Sequence[StageDifference],
    seen: Observation,
    tier: Tier,
    embed: Embed | None,
) -> dict[str, Taken]:
    """Each figure of a tier: (value, why there is none)."""
    golden, here = tensors["pixels"], seen.pixels()
    by_kind = {stage_kind(stage.stage): stage for stage in stages}  # the last of each kind
    # What a pipeline's stages do shows in its latents. Stages of a user's own, and a
    # pipeline's without its latents, are held as latents are.
    covered = STAGE_KINDS if "latents" in by_kind else ("vae", "pixels")
    own = {figure_of(s.stage): s for s in stages if stage_kind(s.stage) not in covered}
    # A golden of images alone has no latents to judge; one that has them needs the figure.
    names = [n for n in FIGURES[tier] if _STAGE_OF.get(n, "pixels") in by_kind]
    if golden.shape != here.shape:
        why = f"images are {here.shape}, the golden's {golden.shape}"
        return dict.fromkeys(names, (None, why))
    pairs = list(zip(golden, here, strict=True))
    levels = WINDOW_TOLERANCE.get(tier, 0)
    measures: dict[str, Callable[[], Taken]] = {
        "latents_max_abs": lambda: _taken(by_kind["latents"].max_abs),
        "latents_relative_l2": lambda: _taken(by_kind["latents"].relative_l2),
        "vae_relative_l2": lambda: _taken(by_kind["vae"].relative_l2),
        "window_density": lambda: _taken(
            max(window_density(a, b, tolerance=levels) for a, b in pairs)
        ),
        "tile_ssim_loss": lambda: _taken(max(1.0 - tile_ssim(a, b)[1] for a, b in pairs)),
        "embedding_distance": lambda: _embedding_distance(golden, here, embed),
    }
    found = {name: measures[name]() for name in names}
    if tier == "T1":
        found |= {name: _taken(stage.relative_l2) for name, stage in own.items()}
    return found


def figure_of(stage: str) -> str:
    """Name of the figure of a stage that the pipeline does not have."""
    return f"{stage}_relative_l2"


def _taken(value: float | None) -> Taken:
    return value, "another shape, or a tensor that is not kept" if value is None else None


def _embedding_distance(golden: Values, here: Values, embed: Embed | None) -> Taken:
    if embed is None:
        return None, "no extractor"
    first, second = (np.asarray(embed(images), dtype=np.float64) for images in (golden, here))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = np.einsum("nd,nd->n", first, second) / norms
    worst = float(np.max(1.0 - cosines))
    return (worst, None) if math.isfinite(worst) else (None, "features are not finite")


def _first(
    stages: Sequence[StageDifference], margins: Mapping[str, Margin] | None
) -> StageDifference | None:
    """The first stage that is off: beyond what its kind may differ by, else at all."""
    off = [stage for stage in stages if not stage.equal]
    for stage in off:
        margin = (margins or {}).get(f"{STAGE_FIGURE}/{stage_kind(stage.stage)}")
        size = stage.relative_l2
        if margin is None or size is None or not size <= margin.threshold:  # NaN is off
            return stage
    return off[0] if off else None
