"""The table of metrics: what each figure is, without the code that computes it.

Owns names, units, directions and versions, so that a plan or a report can
speak of a metric with no torch imported. Raise a metric's ``version`` whenever
its value for equal input changes: it is part of every fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from turbo_lab.errors import unknown_name


@dataclass(frozen=True)
class MetricInfo:
    """One row of the table."""

    unit: str
    """Of the value, such as ``cosine``."""
    direction: Literal["higher", "lower", "none"]
    """Which way is better."""
    version: int
    """Raised when the value for equal input changes."""
    path: str
    """``module:function`` that computes it; imported only when it is measured."""
    needs_text: bool
    """Whether it compares images with their prompts."""
    needs_reference: bool
    """Whether it compares with the stored statistics of a reference set."""
    same_n_only: bool
    """Whether its expectation depends on n, so that figures of another n do not compare."""
    summary: str
    """One line for ``--help`` and reports."""
    judge: Literal["chosen", "inception"] = "chosen"
    """``chosen``: by the extractor that the request names; ``inception``: by that alone."""


METRICS: Mapping[str, MetricInfo] = {
    "clip_score": MetricInfo(
        unit="cosine",
        direction="higher",
        version=1,
        path="turbo_lab.metrics.clip_score:compute",
        needs_text=True,
        needs_reference=False,
        same_n_only=False,
        summary="mean cosine of image and prompt embeddings",
    ),
    "fd": MetricInfo(
        unit="squared distance",
        direction="lower",
        version=1,
        path="turbo_lab.metrics.frechet:compute",
        needs_text=False,
        needs_reference=True,
        same_n_only=True,
        summary="Fréchet distance of image embeddings to a reference set",
    ),
    "fid": MetricInfo(
        unit="squared distance",
        direction="lower",
        version=1,
        path="turbo_lab.metrics.frechet:compute",
        needs_text=False,
        needs_reference=True,
        same_n_only=True,
        summary="Fréchet distance of torch-fidelity's Inception features to a reference set",
        judge="inception",
    ),
    "fd_infinity": MetricInfo(
        unit="squared distance",
        direction="lower",
        version=1,
        path="turbo_lab.metrics.frechet:compute_infinity",
        needs_text=False,
        needs_reference=True,
        same_n_only=False,
        summary="Fréchet distance extrapolated to infinitely many images",
    ),
    "kid": MetricInfo(
        unit="squared MMD",
        direction="lower",
        version=1,
        path="turbo_lab.metrics.kernel:compute_kid",
        needs_text=False,
        needs_reference=True,
        same_n_only=False,
        summary="unbiased squared MMD with a cubic kernel to a reference set",
    ),
    "cmmd": MetricInfo(
        unit="1000 x squared MMD",
        direction="lower",
        version=1,
        path="turbo_lab.metrics.kernel:compute_cmmd",
        needs_text=False,
        needs_reference=True,
        same_n_only=False,
        summary="unbiased squared MMD with a Gaussian kernel to a reference set",
    ),
    "r_precision": MetricInfo(
        unit="fraction",
        direction="higher",
        version=1,
        path="turbo_lab.metrics.r_precision:compute",
        needs_text=True,
        needs_reference=False,
        same_n_only=False,
        summary="share of images whose own prompt is nearest in the prompt set",
    ),
    "diversity": MetricInfo(
        unit="cosine distance",
        direction="higher",
        version=1,
        path="turbo_lab.metrics.diversity:compute",
        needs_text=False,
        needs_reference=False,
        same_n_only=False,
        summary="mean distance between images of one prompt from several seeds",
    ),
}

SETS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "default": ("clip_score", "fd"),
    "full": ("clip_score", "fd", "fd_infinity", "kid", "cmmd", "r_precision", "diversity"),
}
DEFAULT = SETS["default"]


def metric_names(choice: str) -> tuple[str, ...]:
    """``none``, ``default``, ``full``, or metric names joined by commas.

    Raises :class:`turbo_lab.errors.InputError` for an unknown one.
    """
    if choice in SETS:
        return SETS[choice]
    names = tuple(dict.fromkeys(part.strip() for part in choice.split(",")))
    for name in names:
        metric_info(name)
    return names


def metric_info(name: str) -> MetricInfo:
    """The row of a metric; ``fd/nano-clip`` is the row ``fd``."""
    info = METRICS.get(name.partition("/")[0])
    if info is None:
        raise unknown_name("metrics", name, [*METRICS, *SETS])
    return info


def measurement_name(name: str, extractor: str) -> str:
    """``fd`` is measured as ``fd/<extractor>``: a distance means nothing without it.

    Only ``fid`` has a judge of its own in its name.
    """
    info = metric_info(name)
    names_it = info.needs_reference and info.judge == "chosen"
    return f"{name}/{extractor}" if names_it else name
