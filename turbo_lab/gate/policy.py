"""The policy of a gate: the fields of ``conf/gate/*.yaml``, typed and validated.

Owns every field's rule and its message. Refuses unknown fields, and names that no metric,
tier or feature has, before any image is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from turbo_lab.documents.golden import Tier
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.golden.coverage import FEATURES
from turbo_lab.golden.tiers import TIERS
from turbo_lab.metrics.table import metric_info

PAIRED_METRICS = ("clip_score", "r_precision")
"""Metrics with a value per image; other metrics cannot be paired."""


@dataclass(frozen=True)
class QualityRule:
    """Rule for the loss of one metric."""

    margin: float
    """Largest loss, in the metric's own unit."""
    two_sided: bool = False
    """True if a gain beyond the margin is suspicious too, as in MLPerf's bands."""
    minimum: float | None = None
    """Value that the candidate must reach, also if the baseline does not; ``None``: any will do."""


@dataclass(frozen=True)
class Policy:
    """The checks that a release has to pass, with their margins.

    A field that is ``None`` or empty asks for no check, unless it says otherwise.
    """

    name: str
    """Name of the policy's file."""
    baseline: str
    """Name of the stored baseline to use if the command line gives no baseline."""
    goldens: tuple[str, ...] | None
    """Golden cases that must pass; empty: all of them. ``None``: goldens are not checked, and
    neither are their number and coverage."""
    golden_tier: Tier
    """Loosest tier that may decide a case; a case that only a looser tier covers is
    ``uncovered``."""
    min_goldens: int
    """Number of cases that must be covered; with fewer, the check is ``uncovered``."""
    coverage: tuple[str, ...]
    """Features that some covered golden must have; see :mod:`turbo_lab.golden.coverage`."""
    invariance: tuple[str, ...] | None
    """Golden cases that must be invariant to batch position, prompt order, threads; empty: all."""
    mutation: tuple[str, ...] | None
    """Golden cases that must catch every fault that they can show; empty: all of them."""
    quality: Mapping[str, QualityRule]
    """Rule of each metric, by name."""
    frechet: float | None
    """Largest growth of the Fréchet distance, in its own unit."""
    licenses: tuple[str, ...]
    """Licences that are allowed."""
    latency: float | None
    """Largest growth of the latency, as a share of the baseline's."""
    memory: float | None
    """Largest growth of the pipeline's peak memory, as a share of the baseline's."""
    energy: float | None
    """Largest growth of the energy per image, as a share of the baseline's."""
    retries: int
    """Number of times that the latency check is repeated while it does not pass."""

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Policy:
        """Validate a ``gate`` node. Raises :class:`InputError` with field, value and rule."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise unknown_name("gate key", str(key), known)
        if values["name"] == "none":
            raise InputError("gate: name a policy, as in turbo-lab gate gate=release")
        policy = cls(
            name=_text("name", values["name"]),
            baseline=_text("baseline", values.get("baseline", values["name"])),
            goldens=_cases("goldens", values.get("goldens")),
            golden_tier=_tier(values.get("golden_tier", "T2")),
            min_goldens=_count("min_goldens", values.get("min_goldens", 0)),
            coverage=_coverage(values.get("coverage")),
            invariance=_cases("invariance", values.get("invariance")),
            mutation=_cases("mutation", values.get("mutation")),
            quality=_quality(values.get("quality")),
            frechet=_share("frechet", values.get("frechet")),
            licenses=_names("licenses", values.get("licenses")),
            latency=_share("latency", values.get("latency")),
            memory=_share("memory", values.get("memory")),
            energy=_share("energy", values.get("energy")),
            retries=_count("retries", values.get("retries", 0)),
        )
        if policy.goldens is None and policy.coverage:
            raise InputError(
                f"gate.coverage={','.join(policy.coverage)}: needs goldens, and gate.goldens=none "
                "checks none; set gate.goldens to all, or gate.coverage to null"
            )
        return policy

    @property
    def compares_images(self) -> bool:
        """``True`` if a check compares the images of both sides."""
        return bool(self.quality) or self.frechet is not None

    def named_cases(self) -> tuple[str, ...]:
        """Return every golden case that the policy names."""
        lists = (self.goldens, self.invariance, self.mutation)
        return tuple(name for cases in lists for name in cases or ())


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"gate.{field}={value}: must be a name")
    return value


def _cases(field: str, value: Any) -> tuple[str, ...] | None:
    if value in (None, "none", False):
        return None
    if value == "all":
        return ()
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise InputError(f"gate.{field}={value}: must be all, none or a list of golden cases")


def _tier(value: Any) -> Tier:
    for tier in TIERS:
        if value == tier:
            return tier
    raise InputError(f"gate.golden_tier={value}: must be one of {', '.join(TIERS)}")


def _coverage(value: Any) -> tuple[str, ...]:
    names = _names("coverage", value)
    for name in names:
        if name not in FEATURES:
            raise unknown_name("gate.coverage", name, FEATURES)
    return names


def _names(field: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(name, str) and name for name in value):
        return tuple(value)
    raise InputError(f"gate.{field}={value}: must be a list of names, or null")


def _quality(values: Any) -> dict[str, QualityRule]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InputError(f"gate.quality={values}: must be one metric per line, each with a margin")
    return {str(name): _rule(str(name), rule) for name, rule in values.items() if rule is not None}


def _rule(name: str, rule: Any) -> QualityRule:
    metric_info(name)
    if name not in PAIRED_METRICS:
        remedy = "use gate.frechet for fd" if name == "fd" else _listed(PAIRED_METRICS)
        raise InputError(f"gate.quality.{name}: has no values per image to pair; {remedy}")
    if not isinstance(rule, Mapping) or not set(rule) <= {"margin", "two_sided", "min"}:
        raise InputError(f"gate.quality.{name}={rule}: must have a margin (and two_sided, min)")
    margin = _share(f"quality.{name}.margin", rule.get("margin"))
    if margin is None:
        raise InputError(f"gate.quality.{name}.margin: must be a number of at least 0")
    two_sided = rule.get("two_sided", False)
    if not isinstance(two_sided, bool):
        raise InputError(f"gate.quality.{name}.two_sided={two_sided}: must be true or false")
    return QualityRule(margin, two_sided, _number(f"quality.{name}.min", rule.get("min")))


def _listed(names: Sequence[str]) -> str:
    return f"use one of {', '.join(names)}"


def _share(field: str, value: Any) -> float | None:
    return _number(field, value, "a number of at least 0", least=0.0)


def _number(
    field: str, value: Any, rule: str = "a finite number", least: float = -math.inf
) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < least:
        raise InputError(f"gate.{field}={value}: must be {rule}, or null")
    return float(value)


def _count(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"gate.{field}={value}: must be an integer, at least 0")
    return value
