"""The context in which a metric is computed, and its fingerprint; no torch.

A planner asks here whether a measurement exists already, so nothing heavier than file
digests is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.identity import DigestCache, digest
from turbo_lab.metrics.extractor_source import (
    ExtractorSource,
    inception_source,
    plain_preprocessing,
)
from turbo_lab.metrics.reference_source import ReferenceSource
from turbo_lab.metrics.table import measurement_name, metric_info, provider


@dataclass(frozen=True)
class MetricContext:
    """The extractors, references and captions of one request; holds no weights."""

    extractor: ExtractorSource
    """The extractor of every metric except ``fid``."""
    reference: ReferenceSource | None = None
    """The reference of Fréchet distances; ``None``: ``fd`` is an error."""
    prompt_set: tuple[str, ...] = ()
    """Captions that ``r_precision`` chooses from, including every measured prompt; its value
    falls with their number. Empty: ``r_precision`` is an error."""
    inception: ExtractorSource | None = None
    """The extractor of ``fid``; ``None``: it is looked for where torch.hub downloads it."""
    inception_reference: ReferenceSource | None = None
    """The reference of ``fid``; ``None``: ``fid`` is an error."""
    safety: ExtractorSource | None = None
    """The safety checker of ``flagged``; ``None``: ``flagged`` is an error."""

    def of(self, metric: str) -> MetricContext:
        """Return this context with one metric's extractor and reference in the first places."""
        wanted = metric_info(metric).extractor
        if wanted == "chosen":
            return self
        if wanted == "safety":
            if self.safety is None:
                raise InputError(f"metrics={metric}: needs safety_checker=FOLDER")
            return replace(self, extractor=self.safety)
        extractor = self.inception or inception_source()
        return replace(self, extractor=extractor, reference=self.inception_reference)


def metric_details(name: str, context: MetricContext, cache: DigestCache) -> dict[str, object]:
    """Return everything a measurement depends on; its fingerprint is the digest of this.

    Raises :class:`InputError` for an unknown metric, :class:`MissingFilesError`
    if a file is absent.
    """
    info, context = metric_info(name), context.of(name)
    if info.process is not None:
        return {
            "metric": name,
            "version": info.version,
            **provider(name),
            "unit": info.unit,
            "process": info.process.details(name, cache),
        }
    _check_extractor(name, context.extractor.name)
    details: dict[str, object] = {
        "metric": name.partition("/")[0],
        "version": info.version,
        **provider(name),
        "unit": info.unit,
        "extractor": context.extractor.digest(cache),
        "extractor_name": context.extractor.name,
        "preprocessing": plain_preprocessing(context.extractor.preprocessing),
        "dtype": "float32",
    }
    if info.needs_text:
        # scores are published as a cosine, times 100 and times 2.5, with and without a prefix
        details |= {"scale": 1.0, "prefix": ""}
    if details["metric"] == "r_precision":
        if not context.prompt_set:
            raise InputError("metrics=r_precision: needs the prompt set that it chooses from")
        details["prompt_set"] = digest(sorted(set(context.prompt_set)))
    if info.needs_reference:
        if context.reference is None:
            key = "reference=NAME or reference=FILE"
            if info.extractor == "inception":
                key = (
                    "metrics.fid_reference=FILE; make it with: turbo-lab reference build FOLDER "
                    "metrics.extractor=inception"
                )
            raise InputError(f"metrics={name}: needs {key}")
        details["reference"] = context.reference.digest(cache)
        details["reference_name"] = context.reference.name
    return details


def details_or_error(
    name: str, context: MetricContext, cache: DigestCache
) -> tuple[dict[str, object], TurboLabError | None]:
    """Return :func:`metric_details`, or the error that makes the metric unavailable.

    One metric's missing reference is then an error of that metric only. Raises
    :class:`InputError` for an unknown name, or a distance by another extractor than the
    context's.
    """
    info = metric_info(name)
    _check_extractor(name, context.of(name).extractor.name)
    try:
        return metric_details(name, context, cache), None
    except TurboLabError as error:
        kind = type(error).__name__  # not its text: a path must not be part of an identity
        metric = name.partition("/")[0]
        return {"metric": metric, "version": info.version, "unavailable": kind}, error


def metric_fingerprints(
    names: Sequence[str], context: MetricContext, cache: DigestCache | None = None
) -> dict[str, str]:
    """Return measurement name to fingerprint, e.g. ``{"fd/nano-clip": "3f..."}``.

    :func:`turbo_lab.metrics.evaluate.measure` writes the same. Raises :class:`InputError`
    for a name that is wrong, regardless of the files.
    """
    cache = cache or DigestCache()
    return {
        measurement_name(name.partition("/")[0], context.extractor.name): digest(
            details_or_error(name, context, cache)[0]
        )
        for name in names
    }


def _check_extractor(name: str, extractor: str) -> None:
    wanted = name.partition("/")[2]
    if wanted and wanted != extractor:
        raise InputError(f"metrics={name}: the extractor is {extractor}; ask for fd/{extractor}")
