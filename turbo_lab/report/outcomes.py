"""Rows that CI systems show of a gate or of goldens: one per check and per case.

JUnit, annotations on GitHub and job summaries are written from these rows, so that they agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.documents.golden import CheckedCase, GoldenCheck, GoldenInvariance, Invariance
from turbo_lab.report.markdown import describe
from turbo_lab.report.sentences import case_lines, gate_origin, gate_sides
from turbo_lab.verdict import Verdict


@dataclass(frozen=True)
class Outcome:
    """One row: a check of a gate, a golden case or a row of invariance."""

    name: str
    """Name of the check or the case."""
    verdict: Verdict
    """Its verdict."""
    text: str
    """The verdict's reason in one line."""
    group: str = ""
    """Name of its group, after that of all outcomes; starts with a dot, or is empty."""
    wall_s: float = 0.0
    """Time that it took, in seconds."""


@dataclass(frozen=True)
class Outcomes:
    """All rows of one command."""

    title: str
    """The command and what it ran on, such as ``gate release``."""
    verdict: Verdict
    """Verdict of all rows together."""
    rows: tuple[Outcome, ...]
    """The rows."""
    date: str = ""
    """Date and time in UTC; empty if unknown."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Facts about the command, by name."""

    @property
    def class_name(self) -> str:
        """Name that groups the rows in a CI system, such as ``gate.release``."""
        return self.title.replace(" ", ".")


def gate_outcomes(report: GateReport) -> Outcomes:
    """Return one row per check and one per golden case of a gate."""
    properties = {"origin": gate_origin(report)}
    for name, words, digests, versions in gate_sides(report):
        properties |= {name: words, f"{name} digests": digests, f"{name} versions": versions}
    return Outcomes(
        title=f"gate {report.gate}",
        verdict=report.verdict,
        rows=tuple(row for check in report.checks for row in _check_rows(check)),
        date=report.date,
        properties=properties,
    )


def golden_outcomes(check: GoldenCheck) -> Outcomes:
    """Return one row per case of a golden check."""
    occasion = check.occasion
    commit = None if occasion is None or occasion.git is None else occasion.git.commit
    return Outcomes(
        title="golden check",
        verdict=check.verdict,
        rows=tuple(map(_case_row, check.cases)),
        date="" if occasion is None else occasion.date,
        properties={} if commit is None else {"commit": commit},
    )


def invariance_outcomes(found: GoldenInvariance) -> Outcomes:
    """Return one row per change that must not affect the result and applies to a case."""
    rows = tuple(_invariance_row(row) for row in found.rows if row.holds is not None)
    return Outcomes(title="golden invariance", verdict=found.verdict, rows=rows)


def _check_rows(check: CheckResult) -> Iterator[Outcome]:
    """Yield the check, then its golden cases; their times are not part of the check's."""
    goldens = check.goldens or ()
    own_s = max(0.0, (check.wall_s or 0.0) - sum(one.wall_s for one in goldens))
    yield Outcome(check.name, check.verdict, describe(check), wall_s=own_s)
    for one in goldens:
        first = one.first_divergence
        text = one.message if first is None else f"{one.message}; first at {first}"
        yield Outcome(one.name, one.verdict, text, group=".goldens", wall_s=one.wall_s)


def _case_row(case: CheckedCase) -> Outcome:
    text = "; ".join(case_lines(case))
    return Outcome(case.name, case.verdict, text, wall_s=case.wall_s or 0.0)


def _invariance_row(row: Invariance) -> Outcome:
    verdict = Verdict.PASS if row.holds else Verdict.REGRESSION
    levels = "" if row.max_abs is None else f", up to {row.max_abs} levels of 255"
    return Outcome(row.name, verdict, f"{row.tier}, {row.cases} cases{levels}: {row.note}")
