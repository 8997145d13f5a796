"""Measure one cell: one pass per extractor, many metrics, independent failures.

Owns the step from images to :class:`turbo_lab.store.record.Measurement`. A metric
that raises becomes a measurement without a value, whose note starts with ``error:``;
the others go on. No value is ever invented.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt

from turbo_lab.errors import MissingFilesError, TurboLabError
from turbo_lab.identity import DigestCache, digest
from turbo_lab.metrics import process
from turbo_lab.metrics.cache import CachedExtractor, FeatureCache
from turbo_lab.metrics.context import MetricContext, details_or_error
from turbo_lab.metrics.inputs import Extractor, MetricInputs, Score
from turbo_lab.metrics.reference import Reference, load_reference
from turbo_lab.metrics.table import MetricInfo, measurement_name, metric_info
from turbo_lab.store.record import Measurement

_LOADED: dict[tuple[str, str], Extractor] = {}
_CACHED: dict[tuple[str, str, Path], Extractor] = {}


def measure(
    images: Sequence[npt.NDArray[Any]] | npt.NDArray[Any],
    prompts: Sequence[str],
    seeds: Sequence[int],
    names: Sequence[str],
    context: MetricContext,
    extractor: Extractor | None = None,
    cache: DigestCache | None = None,
    device: str = "cpu",
    features: FeatureCache | None = None,
    paths: Sequence[Path] | None = None,
) -> list[Measurement]:
    """Return one measurement per name, in that order.

    ``images``: N of (H, W, 3) uint8 in [0, 255], RGB; ``prompts``, ``seeds``: N
    each. ``names``: of :data:`turbo_lab.metrics.table.METRICS`; an unknown one raises
    :class:`InputError` before any work. ``extractor``: an already loaded extractor
    of ``context.extractor``; otherwise one is loaded and kept for this process,
    and with ``features`` only if some image or text is not among them. ``paths``: a PNG file per
    image, for metrics in other processes; ``None``: they are written when one is needed.
    """
    infos = [metric_info(name) for name in names]
    cache = cache or DigestCache()

    def inputs_of(own_context: MetricContext, own: Extractor | None) -> MetricInputs:
        return MetricInputs(
            images=images,
            prompts=tuple(prompts),
            seeds=tuple(seeds),
            extractor_loader=lambda: own or _cached_extractor(own_context, cache, device, features),
            reference_loader=lambda: _reference(own_context),
            prompt_set=context.prompt_set,
            paths=None if paths is None else tuple(paths),
        )

    # One pass of each extractor for all of its metrics.
    inputs = {
        info.extractor: inputs_of(
            context.of(name), extractor if info.extractor == "chosen" else None
        )
        for name, info in zip(names, infos, strict=True)
    }
    return [
        _measure_one(name, info, inputs=inputs[info.extractor], context=context, cache=cache)
        for name, info in zip(names, infos, strict=True)
    ]


def loaded_extractor(
    context: MetricContext, cache: DigestCache | None = None, device: str = "cpu"
) -> Extractor:
    """Return the context's extractor, loaded once per process and device; keyed by content."""
    cache = cache or DigestCache()
    key = (context.extractor.digest(cache), device)
    if key not in _LOADED:
        from turbo_lab.metrics.extractor import open_extractor  # torch and open_clip

        _LOADED[key] = open_extractor(context.extractor, cache, device)
    return _LOADED[key]


def _cached_extractor(
    context: MetricContext, cache: DigestCache, device: str, features: FeatureCache | None
) -> Extractor:
    """Return the context's extractor, behind the feature cache if there is one."""
    if features is None:
        return loaded_extractor(context, cache, device)
    key = (context.extractor.digest(cache), device, features.folder)
    if key not in _CACHED:
        _CACHED[key] = CachedExtractor(
            context.extractor.name,
            key[0],
            load=lambda: loaded_extractor(context, cache, device),
            cache=features,
            device=device,
        )
    return _CACHED[key]


def _measure_one(
    name: str, info: MetricInfo, inputs: MetricInputs, context: MetricContext, cache: DigestCache
) -> Measurement:
    details, unavailable = details_or_error(name, context, cache)
    try:
        if unavailable is not None:
            raise unavailable
        score = _checked(_score(name, info, inputs), len(inputs.prompts))
    except (TurboLabError, ValueError) as error:
        score = Score(None, len(inputs.prompts), note=f"error: {error}", failed=True)
    except Exception as error:  # noqa: BLE001  (a metric's bug must not take the rest along)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        note = f"error: {what}{_where(error)}"
        score = Score(None, len(inputs.prompts), note=note, failed=True)
    repeats = len(inputs.prompts) - len(set(zip(inputs.prompts, inputs.seeds, strict=True)))
    if repeats and score.value is not None:
        repeated = (
            f"{repeats} of the images repeat a prompt and its seed: these repeats are not "
            "independent samples"
        )
        score = replace(score, note=f"{score.note}; {repeated}" if score.note else repeated)
    return Measurement(
        name=measurement_name(name.partition("/")[0], context.extractor.name),
        value=score.value,
        unit=info.unit,
        n=score.n,
        direction=info.direction,
        fingerprint=digest(details),
        ci95=score.ci95,
        note=score.note,
        details=details,
        per_image=score.per_image,
        failed=score.failed,
    )


def _score(name: str, info: MetricInfo, inputs: MetricInputs) -> object:
    """Compute a metric, in this process or in its own."""
    if info.process is not None:
        return process.compute(name, info.process, inputs)
    return _function(info)(inputs)


def _function(info: MetricInfo) -> Callable[[MetricInputs], Score]:
    module, _, name = info.path.partition(":")
    return cast(Callable[[MetricInputs], Score], getattr(importlib.import_module(module), name))


def _checked(score: object, count: int) -> Score:
    """Return a metric's score; raises if another package's metric returned anything else."""
    if not isinstance(score, Score):
        raise ValueError(f"returned a {type(score).__name__}; must be a turbo_lab Score")
    if score.per_image is not None and len(score.per_image) != count:
        raise ValueError(f"returned {len(score.per_image)} values for {count} images")
    return score


def _where(error: Exception) -> str:
    """Return the line that raised, since no traceback is printed."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({Path(last.filename).name}, line {last.lineno})"


def _reference(context: MetricContext) -> Reference:
    if context.reference is None:
        raise MissingFilesError("fd: needs reference=NAME or reference=FILE")
    return load_reference(context.reference.path, context.reference.name)
