"""The stages of one generation: their names, and what a golden keeps of each tensor.

A stage's mark is a hash, which says whether a tensor is the same, and a count
sketch, which says how far off it is without the tensor being kept: 32 buckets of
signed sums estimate the distance of two tensors of any size (Charikar, Chen and
Farach-Colton 2004), mostly within a fifth.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from turbo_lab.documents.golden import StageDifference
from turbo_lab.identity import array_sha256, digest

Values = npt.NDArray[Any]

SKETCH_BUCKETS = 32
_SKETCH_SEED = 20_041_221
# Relative distance below which a float32 sketch says nothing.
_SKETCH_FLOOR = 1e-6
STAGE_KINDS = (
    "noise",
    "prompt_embeds",
    "pooled_prompt_embeds",
    "unet",
    "latents",
    "vae",
    "pixels",
)


def stage_kind(stage: str) -> str:
    """``unet.3`` is of the kind ``unet``."""
    return stage.partition(".")[0]


@dataclass(frozen=True)
class StageValue:
    """One stage's tensor as observed."""

    stage: str
    """Such as ``unet.0``."""
    dtype: str
    """Of the tensor itself, such as ``bfloat16``."""
    values: Values
    """float32, which holds every narrower float exactly; or the tensor's own type."""


@dataclass(frozen=True)
class StageMark:
    """What a golden keeps of a stage in its sidecar."""

    stage: str
    """Such as ``unet.0``."""
    dtype: str
    """Of the tensor itself."""
    shape: tuple[int, ...]
    """Rows first."""
    sha256: str
    """Of the line ``dtype shape`` and the values."""
    norm: float
    """Euclidean, of all values."""
    sketch: str
    """Signed sums in 32 buckets: little-endian float32 in base64."""


def mark(value: StageValue) -> StageMark:
    """Hash and sketch of a stage."""
    values = value.values
    flat = values.astype(np.float64).ravel()
    return StageMark(
        stage=value.stage,
        dtype=value.dtype,
        shape=tuple(values.shape),
        sha256=array_sha256(value.dtype, values),
        norm=float(np.linalg.norm(flat)),
        sketch=base64.b64encode(_sketch(flat).astype("<f4").tobytes()).decode("ascii"),
    )


def ordered_by_worth(stages: Sequence[StageValue]) -> dict[str, Values]:
    """Tensors in the order in which a golden keeps them: what explains most comes first.

    Never the VAE's output, which is as large as all the rest.
    """
    by_stage = {value.stage: value.values for value in stages}
    latents = [stage for stage in by_stage if stage_kind(stage) == "latents"]
    steps = [stage for stage in by_stage if stage_kind(stage) in ("latents", "unet")]
    first = ["noise", *latents[-1:], *steps, "pooled_prompt_embeds", "prompt_embeds"]
    order = dict.fromkeys([*first, *(s for s in by_stage if s not in ("vae", "pixels")), "pixels"])
    return {stage: by_stage[stage] for stage in order if stage in by_stage}


def first_non_finite(marks: Sequence[StageMark]) -> str | None:
    """Return the first stage with NaN, or of a pipeline's own stages with infinity.

    A stage of a user's own may hold infinity on purpose, as masks do. ``None``: there is none.
    """
    return next((m.stage for m in marks if not _is_finite(m)), None)


def _is_finite(of: StageMark) -> bool:
    if stage_kind(of.stage) in STAGE_KINDS:
        return math.isfinite(of.norm)
    return not math.isnan(of.norm)


def outcome_digest(marks: Sequence[StageMark]) -> str:
    """One digest of a whole generation: equal only where every stage is."""
    return digest([[m.stage, m.sha256] for m in marks])


def differences(
    golden: Sequence[StageMark],
    tensors: Mapping[str, Values],
    observed: Sequence[StageValue],
    marks: Sequence[StageMark] | None = None,
) -> list[StageDifference]:
    """Stage by stage, in order; exact where the golden keeps the tensor.

    ``marks``: of the observed stages, where they were taken already. A stage
    that only one of both has (another number of steps) is unequal, with no figure.
    """
    here = marks or [mark(value) for value in observed]
    seen = {value.stage: (value, own) for value, own in zip(observed, here, strict=True)}
    known = {m.stage for m in golden}
    found = [_difference(m, tensors.get(m.stage), seen.get(m.stage)) for m in golden]
    extra = [v.stage for v in observed if v.stage not in known]
    return [*found, *(_incomparable(stage) for stage in extra)]


def causes(own: Sequence[StageDifference], fed: Collection[str]) -> list[str]:
    """Stages that differ though all they are made of is the golden's.

    ``own``: of a run whose stages went on with the golden's tensors, as far as those are
    kept (``fed``). A stage that was caused elsewhere cannot be distinguished from one that passes
    it on, and is left out.
    """
    names = [stage.stage for stage in own]
    off = {stage.stage for stage in own if not stage.equal}
    unfed = off - set(fed)
    return [name for name in names if name in off and not unfed.intersection(_made_of(name, names))]


def _made_of(stage: str, names: Sequence[str]) -> list[str]:
    """The stages that a stage of the pipeline is computed from."""
    kind, _, step = stage.partition(".")
    if kind in ("unet", "latents"):
        before = f"latents.{int(step) - 1}" if int(step) else "noise"
        return {
            "unet": [before, "prompt_embeds", "pooled_prompt_embeds"],
            "latents": [before, f"unet.{step}"],
        }[kind]
    last = [name for name in names if stage_kind(name) == "latents"][-1:]
    return {"vae": last, "pixels": ["vae"]}.get(kind, [])


def _difference(
    golden: StageMark, tensor: Values | None, seen: tuple[StageValue, StageMark] | None
) -> StageDifference:
    if seen is None or seen[1].shape != golden.shape:
        return _incomparable(golden.stage)
    value, here = seen
    if here.sha256 == golden.sha256:
        return StageDifference(
            stage=golden.stage, equal=True, max_abs=0.0, relative_l2=0.0, estimated=False
        )
    if tensor is not None:
        apart = value.values.astype(np.float64) - tensor.astype(np.float64)
        largest = float(np.max(np.abs(apart)))
        return StageDifference(
            stage=golden.stage,
            equal=False,
            max_abs=largest,
            relative_l2=_ratio(float(np.linalg.norm(apart)), golden.norm),
            estimated=False,
        )
    distance = float(np.linalg.norm(_sums(here) - _sums(golden)))
    relative = _ratio(distance, golden.norm)
    return StageDifference(
        stage=golden.stage,
        equal=False,
        max_abs=None,
        relative_l2=max(relative, _SKETCH_FLOOR),
        estimated=True,
    )


def _incomparable(stage: str) -> StageDifference:
    """Return the difference of a stage that one side lacks, or has in another shape."""
    return StageDifference(
        stage=stage, equal=False, max_abs=None, relative_l2=None, estimated=False
    )


def _ratio(distance: float, norm: float) -> float:
    if norm:
        return distance / norm
    return 0.0 if distance == 0 else float("inf")


def _sums(of: StageMark) -> npt.NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(of.sketch), dtype="<f4").astype(np.float64)


def _sketch(flat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(32,) signed sums. The layout depends on the length only."""
    generator = np.random.Generator(np.random.Philox(_SKETCH_SEED))
    draws = generator.integers(0, 2 * SKETCH_BUCKETS, len(flat), dtype=np.uint8)
    signed = np.where(draws & 1, flat, -flat)
    sums = np.bincount(draws >> 1, signed, SKETCH_BUCKETS)
    return sums.astype(np.float64, copy=False)
