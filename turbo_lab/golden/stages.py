"""Stages of a generation: their names, their marks, and the differences between two runs.

The mark of a stage holds a hash, which shows whether a tensor is the same, and a count
sketch, which shows how far off it is even if the tensor itself is not kept: 32 buckets of
signed sums estimate the distance between two tensors of any size (Charikar, Chen and
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
# Relative distance below which a float32 sketch shows nothing.
_SKETCH_FLOOR = 1e-6
STAGE_KINDS = (
    "noise",
    "encode",
    "prompt_embeds",
    "pooled_prompt_embeds",
    "unet",
    "latents",
    "vae",
    "pixels",
)


def stage_kind(stage: str) -> str:
    """Return the kind of a stage: ``unet`` for ``unet.3``."""
    return stage.partition(".")[0]


@dataclass(frozen=True)
class StageValue:
    """Tensor of one stage of a run."""

    stage: str
    """Name of the stage, such as ``unet.0``."""
    dtype: str
    """Type of the tensor in the pipeline, such as ``bfloat16``."""
    values: Values
    """Copy of the tensor: float32, which holds every narrower float exactly, or its own type."""


@dataclass(frozen=True)
class StageMark:
    """Hash and sketch of a stage's tensor."""

    stage: str
    """Name of the stage, such as ``unet.0``."""
    dtype: str
    """Type of the tensor in the pipeline."""
    shape: tuple[int, ...]
    """Shape of the tensor, rows first."""
    sha256: str
    """sha256 of the line ``dtype shape`` and the values."""
    norm: float
    """Euclidean norm of all values."""
    sketch: str
    """Signed sums in 32 buckets: little-endian float32 in base64."""


def mark(value: StageValue) -> StageMark:
    """Return the mark of a stage."""
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
    """Return the tensors in the order in which a golden keeps them: the most useful first.

    The VAE's output is left out: it is as large as all the others together.
    """
    by_stage = {value.stage: value.values for value in stages}
    latents = [stage for stage in by_stage if stage_kind(stage) == "latents"]
    steps = [stage for stage in by_stage if stage_kind(stage) in ("latents", "unet")]
    first = ["noise", *latents[-1:], *steps, "pooled_prompt_embeds", "prompt_embeds"]
    order = dict.fromkeys([*first, *(s for s in by_stage if s not in ("vae", "pixels")), "pixels"])
    return {stage: by_stage[stage] for stage in order if stage in by_stage}


def first_non_finite(marks: Sequence[StageMark]) -> str | None:
    """Return the first stage with NaN or infinity; ``None`` if all values are finite.

    Infinity is allowed in stages that a test passes in: masks hold it on purpose.
    """
    return next((m.stage for m in marks if not _is_finite(m)), None)


def _is_finite(known: StageMark) -> bool:
    if stage_kind(known.stage) in STAGE_KINDS:
        return math.isfinite(known.norm)
    return not math.isnan(known.norm)


def outcome_digest(marks: Sequence[StageMark]) -> str:
    """Return the digest of all stages: two runs have the same one if every stage is equal."""
    return digest([[m.stage, m.sha256] for m in marks])


def differences(
    golden: Sequence[StageMark],
    tensors: Mapping[str, Values],
    observed: Sequence[StageValue],
    marks: Sequence[StageMark] | None = None,
) -> list[StageDifference]:
    """Return the difference of each stage, in order.

    It is exact for stages whose tensor the golden keeps in ``tensors``, and estimated from
    the sketch for others. A stage that only one side has (another number of steps) is
    different by an unknown amount. ``marks``: of the observed stages, if already taken.
    """
    here = marks or [mark(value) for value in observed]
    seen = {value.stage: (value, own) for value, own in zip(observed, here, strict=True)}
    known = {m.stage for m in golden}
    compared = [_difference(m, tensors.get(m.stage), seen.get(m.stage)) for m in golden]
    extra = [v.stage for v in observed if v.stage not in known]
    return [*compared, *(_incomparable(stage) for stage in extra)]


def causes(own: Sequence[StageDifference], fed: Collection[str]) -> list[str]:
    """Return the stages that differ although all their inputs are the golden's.

    ``own``: differences of a run in which the golden's tensors replaced those of the stages
    in ``fed``. A stage with an input that differs and was not replaced is left out: it may
    only pass that difference on.
    """
    names = [stage.stage for stage in own]
    different = {stage.stage for stage in own if not stage.equal}
    unfed = different - set(fed)
    return [
        name
        for name in names
        if name in different and not unfed.intersection(_inputs_of(name, names))
    ]


def _inputs_of(stage: str, names: Sequence[str]) -> list[str]:
    """Return the stages that a stage of the pipeline is computed from."""
    kind, _, step = stage.partition(".")
    if kind in ("unet", "latents"):
        # The source image's latents are noised before the first step.
        before = [f"latents.{int(step) - 1}"] if int(step) else ["noise", "encode"]
        if kind == "latents":
            return [*before, f"unet.{step}"]
        return [*before, "prompt_embeds", "pooled_prompt_embeds"]
    if kind == "vae":
        return [name for name in names if stage_kind(name) == "latents"][-1:]
    return ["vae"] if kind == "pixels" else []


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
    """Return the difference of a stage that one side does not have, or has in another shape."""
    return StageDifference(
        stage=stage, equal=False, max_abs=None, relative_l2=None, estimated=False
    )


def _ratio(distance: float, norm: float) -> float:
    if norm:
        return distance / norm
    return 0.0 if distance == 0 else float("inf")


def _sums(known: StageMark) -> npt.NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(known.sketch), dtype="<f4").astype(np.float64)


def _sketch(flat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 32 signed sums. Bucket and sign of each value depend on its position alone."""
    generator = np.random.Generator(np.random.Philox(_SKETCH_SEED))
    draws = generator.integers(0, 2 * SKETCH_BUCKETS, len(flat), dtype=np.uint8)
    signed = np.where(draws & 1, flat, -flat)
    sums = np.bincount(draws >> 1, signed, SKETCH_BUCKETS)
    return sums.astype(np.float64, copy=False)
