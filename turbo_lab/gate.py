"""The gate: a policy, and what its checks say together.

Pure: owns the policy's fields and their validation, the checks that need no
pipeline, and how many verdicts become one. What draws and times is in
:mod:`turbo_lab.commands.gate`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_lab.compare import Row, hold_family, worst
from turbo_lab.errors import InputError, unknown_name

_FIELDS = (
    "name",
    "goldens",
    "min_goldens",
    "quality",
    "frechet",
    "licenses",
    "mutation",
    "latency",
    "retries",
)


@dataclass(frozen=True)
class QualityRule:
    """What one figure may lose."""

    margin: float
    """In the figure's own unit."""
    two_sided: bool = False
    """Better is suspicious too, as in MLPerf's bands."""


@dataclass(frozen=True)
class Policy:
    """What a release has to pass."""

    name: str
    """Of its file."""
    goldens: tuple[str, ...] | None
    """Cases; empty: all of them; ``None``: goldens are not asked."""
    min_goldens: int
    """Fewer covered cases are ``uncovered``."""
    quality: Mapping[str, QualityRule]
    """By metric."""
    frechet: float | None
    """Margin of the Fréchet difference; ``None``: not asked."""
    licenses: tuple[str, ...]
    """Allowed ones; empty: any."""
    mutation: float | None
    """Share of the goldens' faults that must be caught; ``None``: not asked."""
    latency: float | None
    """How much slower, as a share of the baseline; ``None``: not asked."""
    retries: int
    """Of the timing check."""

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Policy:
        """Validate a ``gate`` node. Raises :class:`InputError` with field, value and rule."""
        for key in values:
            if key not in _FIELDS:
                raise unknown_name("gate key", str(key), _FIELDS)
        if values["name"] == "none":
            raise InputError("gate: name a policy, as in turbo-lab gate gate=release")
        return cls(
            name=str(values["name"]),
            goldens=_cases(values.get("goldens")),
            min_goldens=_count("min_goldens", values.get("min_goldens", 0)),
            quality=_quality(values.get("quality") or {}),
            frechet=_share("frechet", values.get("frechet")),
            licenses=tuple(str(name) for name in values.get("licenses") or ()),
            mutation=_share("mutation", values.get("mutation")),
            latency=_share("latency", values.get("latency")),
            retries=_count("retries", values.get("retries", 0)),
        )


def license_check(licenses: Mapping[str, str], allowed: Sequence[str]) -> Row:
    """Every weight's licence, as its own card states it, against the allow-list."""
    refused = {name: text for name, text in licenses.items() if text not in allowed}
    note = "; ".join(f"{name}: {text}" for name, text in refused.items()) or None
    return _plain("licenses", "regression" if refused else "pass", len(licenses), note)


def golden_check(verdicts: Mapping[str, str], min_cases: int) -> Row:
    """The worst of the goldens; too few covered ones are ``uncovered``."""
    failing = {name: verdict for name, verdict in verdicts.items() if verdict != "pass"}
    verdict = worst(list(verdicts.values()))
    covered = sum(verdict in ("pass", "regression") for verdict in verdicts.values())
    note = "; ".join(f"{name}: {text}" for name, text in failing.items()) or None
    if covered < min_cases:
        few = f"{covered} cases covered, {min_cases} required"
        verdict = worst([verdict, "uncovered"])
        note = f"{few}; {note}" if note else few
    return _plain("goldens", verdict, covered, note)


def mutation_check(caught: int, total: int, false_alarms: Sequence[str], required: float) -> Row:
    """Whether the goldens see the faults they are there for, and nothing harmless."""
    score = caught / total if total else 0.0
    note = f"false alarms: {', '.join(false_alarms)}" if false_alarms else None
    holds = score >= required and not false_alarms
    return Row("mutation score", "pass" if holds else "regression", score, None, None, None,
               required, total, None, "fraction", "higher", note)  # fmt: skip


def latency_check(
    ratio: float, ci95: tuple[float, float], margin: float, pairs: int, retries: int
) -> Row:
    """Candidate over baseline against ``1 + margin``."""
    limit = 1 + margin
    verdict = "pass" if ci95[1] <= limit else "regression" if ci95[0] > limit else "inconclusive"
    note = f"after {retries} retries" if retries else None
    return Row("latency", verdict, ratio, 1.0, ratio - 1, (ci95[0] - 1, ci95[1] - 1), margin,
               pairs, None, "ratio", "lower", note)  # fmt: skip


def failed_check(name: str, verdict: str, note: str) -> Row:
    """A check that came to no figure."""
    return _plain(name, verdict, 0, note)


def decide(rows: Sequence[Row]) -> tuple[str, list[Row]]:
    """The gate's verdict and its checks, false alarms held over all of them."""
    held = hold_family(rows)
    if not held:
        raise InputError("gate: the policy asks nothing; give it at least one check")
    return worst([row.verdict for row in held]), held


def _plain(name: str, verdict: str, n: int, note: str | None) -> Row:
    return Row(name, verdict, None, None, None, None, None, n, None, note=note)


def _cases(value: Any) -> tuple[str, ...] | None:
    if value in (None, "none", False):
        return None
    if value == "all":
        return ()
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise InputError(f"gate.goldens={value}: must be all, none or a list of cases")


def _quality(values: Mapping[str, Any]) -> dict[str, QualityRule]:
    rules = {}
    for name, rule in values.items():
        if not isinstance(rule, Mapping) or not set(rule) <= {"margin", "two_sided"}:
            raise InputError(f"gate.quality.{name}={rule}: must have a margin (and two_sided)")
        margin = _share(f"quality.{name}.margin", rule.get("margin"))
        if margin is None:
            raise InputError(f"gate.quality.{name}.margin: must be a number of at least 0")
        rules[str(name)] = QualityRule(margin, bool(rule.get("two_sided", False)))
    return rules


def _share(field: str, value: Any) -> float | None:
    if value is None:
        return None
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not math.isfinite(number) or number < 0:
        raise InputError(f"gate.{field}={value}: must be a number of at least 0, or null")
    return float(number)


def _count(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"gate.{field}={value}: must be a whole number of at least 0")
    return value
