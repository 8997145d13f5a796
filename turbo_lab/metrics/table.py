"""The table of metrics: what each one is, without the code that computes it.

Owns names, units, directions and versions, so that a plan or a report can
speak of a metric with no torch imported. Raise a metric's ``version`` whenever
its value for equal input changes: it is part of every fingerprint.

A package adds a metric by an entry point of the group ``turbo_lab.metrics``:
its name is the metric's, its object a :class:`MetricInfo`. The module that
holds it should be light; ``path`` names the one that computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from turbo_lab.errors import InputError, unknown_name
from turbo_lab.metrics.interpreter import ScorerProcess
from turbo_lab.store.record import FLAGGED
from turbo_lab.verdict import Direction

ENTRY_POINTS = "turbo_lab.metrics"


@dataclass(frozen=True)
class MetricInfo:
    """One row of the table."""

    unit: str
    """Unit of the value, such as ``cosine``."""
    direction: Direction
    """Which values are better."""
    version: int
    """Version; it is raised when the value for equal input changes."""
    path: str
    """``module:function`` that computes it; imported only when it is measured. Empty for a metric
    with ``process``."""
    needs_text: bool
    """``True`` if the metric compares images with their prompts."""
    needs_reference: bool
    """``True`` if the metric compares with the stored statistics of a reference set."""
    same_n_only: bool
    """``True`` if the expected value depends on n, so that only values of equal n compare."""
    summary: str
    """One line for ``--help`` and reports."""
    extractor: Literal["chosen", "inception", "safety"] = "chosen"
    """``chosen``: computed by the extractor that the request names; ``inception``, ``safety``: by
    that only."""
    process: ScorerProcess | None = None
    """Script in another interpreter that scores the images; ``None``: ``path`` computes it."""


METRICS: Mapping[str, MetricInfo] = {
    "clip_score": MetricInfo(
        unit="cosine",
        direction=Direction.HIGHER,
        version=1,
        path="turbo_lab.metrics.clip_score:compute",
        needs_text=True,
        needs_reference=False,
        same_n_only=False,
        summary="mean cosine of image and prompt embeddings",
    ),
    "fd": MetricInfo(
        unit="squared distance",
        direction=Direction.LOWER,
        version=2,
        path="turbo_lab.metrics.frechet:compute",
        needs_text=False,
        needs_reference=True,
        same_n_only=True,
        summary="Fréchet distance of image embeddings to a reference set",
    ),
    "fid": MetricInfo(
        unit="squared distance",
        direction=Direction.LOWER,
        version=2,
        path="turbo_lab.metrics.frechet:compute",
        needs_text=False,
        needs_reference=True,
        same_n_only=True,
        summary="Fréchet distance of torch-fidelity's Inception features to a reference set",
        extractor="inception",
    ),
    "fd_infinity": MetricInfo(
        unit="squared distance",
        direction=Direction.LOWER,
        version=2,
        path="turbo_lab.metrics.frechet:compute_infinity",
        needs_text=False,
        needs_reference=True,
        same_n_only=False,
        summary="Fréchet distance extrapolated to infinitely many images",
    ),
    "kid": MetricInfo(
        unit="squared MMD",
        direction=Direction.LOWER,
        version=1,
        path="turbo_lab.metrics.kernel:compute_kid",
        needs_text=False,
        needs_reference=True,
        same_n_only=False,
        summary="unbiased squared MMD with a cubic kernel to a reference set",
    ),
    "cmmd": MetricInfo(
        unit="1000 x squared MMD",
        direction=Direction.LOWER,
        version=1,
        path="turbo_lab.metrics.kernel:compute_cmmd",
        needs_text=False,
        needs_reference=True,
        same_n_only=False,
        summary="unbiased squared MMD with a Gaussian kernel to a reference set",
    ),
    "r_precision": MetricInfo(
        unit="fraction",
        direction=Direction.HIGHER,
        version=1,
        path="turbo_lab.metrics.r_precision:compute",
        needs_text=True,
        needs_reference=False,
        same_n_only=False,
        summary="share of images whose own prompt is nearest in the prompt set",
    ),
    "diversity": MetricInfo(
        unit="cosine distance",
        direction=Direction.HIGHER,
        version=1,
        path="turbo_lab.metrics.diversity:compute",
        needs_text=False,
        needs_reference=False,
        same_n_only=False,
        summary="mean distance between images of one prompt from several seeds",
    ),
    FLAGGED: MetricInfo(
        unit="fraction",
        direction=Direction.LOWER,
        version=1,
        path="turbo_lab.metrics.safety:compute",
        needs_text=False,
        needs_reference=False,
        same_n_only=False,
        summary="share of images that the safety checker of safety_checker= flags",
        extractor="safety",
    ),
}

SETS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "default": ("clip_score", "fd"),
    "full": ("clip_score", "fd", "fd_infinity", "kid", "cmmd", "r_precision", "diversity"),
}
DEFAULT = SETS["default"]


def metric_names(choice: str) -> tuple[str, ...]:
    """Parse ``none``, ``default``, ``full``, or metric names joined by commas.

    Raises :class:`turbo_lab.errors.InputError` for an unknown one.
    """
    if choice in SETS:
        return SETS[choice]
    names = tuple(dict.fromkeys(part.strip() for part in choice.split(",")))
    for name in names:
        metric_info(name)
    return names


def metric_info(name: str) -> MetricInfo:
    """Return the row of a metric; ``fd/nano-clip`` is the row ``fd``."""
    root = name.partition("/")[0]
    if root in METRICS:
        return METRICS[root]
    added = _added()
    if root not in added:
        raise unknown_name("metrics", name, [*METRICS, *added, *SETS])
    return _loaded(added[root])


def provider(name: str) -> dict[str, str]:
    """Return the package that an added metric is from; empty for our own."""
    root = name.partition("/")[0]
    if root in METRICS:
        return {}
    distribution = _added()[root].dist
    assert distribution is not None  # entry_points() gives none without one
    return {"package": distribution.name, "package_version": distribution.version}


@cache
def _added() -> Mapping[str, EntryPoint]:
    """Return the metrics of other packages; they are read only if a name is not one of ours."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINTS):
        if point.name in METRICS or point.name in SETS or not point.name.isidentifier():
            raise InputError(
                f"metrics: {_package(point)} adds {point.name!r}, which is already in use or not "
                "a valid name; it must be a new word of letters, digits and _"
            )
        if point.name in found:
            both = f"{_package(found[point.name])} and {_package(point)}"
            raise InputError(f"metrics: {both} both add {point.name}; uninstall one")
        found[point.name] = point
    return found


@cache
def _loaded(point: EntryPoint) -> MetricInfo:
    try:
        info = point.load()
    except Exception as error:  # of another's module: as many kinds as it likes
        raise InputError(
            f"metrics={point.name}: {_package(point)} fails to load it "
            f"({type(error).__name__}: {error})"
        ) from error
    if not isinstance(info, MetricInfo):
        raise InputError(
            f"metrics={point.name}: {_package(point)} gives a {type(info).__name__} "
            f"({point.value}); must be a turbo_lab.metrics.table.MetricInfo"
        )
    return info


def _package(point: EntryPoint) -> str:
    return "a package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def measurement_name(name: str, extractor: str) -> str:
    """Return the name under which a metric is measured: ``fd`` becomes ``fd/<extractor>``.

    Only ``fid`` has a fixed extractor in its name.
    """
    info = metric_info(name)
    names_it = info.needs_reference and info.extractor == "chosen"
    return f"{name}/{extractor}" if names_it else name
