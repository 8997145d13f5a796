"""Sentences about an upgrade that the terminal and the page share."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.upgrade import (
    BisectChange,
    BisectReport,
    PackageChange,
    StageChange,
    UpgradeReport,
)
from turbo_lab.verdict import Verdict


def origin_of_package(change: PackageChange) -> str:
    """Return where a package of a candidate comes from, or why it changes."""
    if change.source is not None:
        return f"from {change.source}"
    return "" if change.is_asked else "needed by another package"


def changed_stages(stages: Sequence[StageChange]) -> list[str]:
    """Return one line per kind of stage that differs between two environments."""
    return [
        f"{one.kind}: differs in {one.cases} of {one.of} cases, by up to "
        + ("an unknown amount" if one.relative_l2 is None else f"{one.relative_l2:.2g} (relative)")
        + f"; first in {one.first_in}"
        + (f", a cause in {one.cause_in}" if one.cause_in else "")
        for one in stages
        if one.cases
    ]


def latency_of_upgrade(report: UpgradeReport) -> list[str]:
    """Return the latency of a candidate against this environment, with its interval."""
    timing = report.timing
    if timing is None:
        return []
    low, high = timing.ci95
    slower = {
        "B is slower": "the candidate is slower",
        "B is faster": "the candidate is faster",
    }.get(timing.verdict, timing.verdict)
    return [
        f"time per call: {timing.candidate_s:.3g} s against {timing.baseline_s:.3g} s here, ratio "
        f"{timing.ratio:.3f} (95%: {low:.3f} to {high:.3f}): {slower}"
    ]


def outcome_of_upgrade(report: UpgradeReport) -> str:
    """Return the outcome of an upgrade in one sentence."""
    of = len(report.cases)
    same = sum(case.identical for case in report.cases)
    if report.verdict == Verdict.PASS:
        if of and same == of:
            return "Every check passes, and every golden case is identical to the bit."
        return "Every check passes."
    failed = [check.name for check in report.checks if check.verdict == report.verdict]
    words = {
        Verdict.REGRESSION: "The candidate is worse",
        Verdict.ERROR: "No verdict was possible",
        Verdict.UNCOVERED: "There was nothing to compare with",
    }.get(report.verdict, "There is not enough evidence")
    first = next((one.kind for one in report.stages if one.first_in), None)
    at = "" if first is None else f"; the first stage that differs is {first}"
    return f"{words}: {', '.join(failed)}{at}."


def change_of_bisect(change: BisectChange) -> list[str]:
    """Return one change of a bisection, one line per fact."""
    title = f" ({change.title})" if change.title else ""
    lines = [f"{change.last_same} -> {change.first_changed}{title}: {change.note}"]
    if change.skipped:
        lines.append(
            f"  {', '.join(change.skipped)}: could not be tested, so the change may be there"
        )
    lines += [f"  {line}" for line in changed_stages(change.stages)]
    if change.other_packages:
        others = ", ".join(
            f"{one.name} {one.here or '-'} -> {one.candidate}" for one in change.other_packages
        )
        lines.append(f"  other packages change too: {others}")
        cause = "unknown, because they cannot be kept" if change.cause is None else change.cause
        lines.append(f"  cause, with the other packages kept as they were: {cause}")
    return lines


def outcome_of_bisect(report: BisectReport) -> str:
    """Return the outcome of a bisection in one sentence."""
    words = {
        "no change": f"No change: {report.range} is the same at both ends.",
        "untestable": "No version of the range can be installed, imported and drawn with.",
        "changed from the start": (
            f"{report.reference}, the first version, fails the test already; begin earlier."
        ),
    }
    if report.outcome in words:
        return words[report.outcome]
    found = ", ".join(one.first_changed for one in report.changes)
    return f"{report.range}: changed in {found} ({report.environments_run} environments ran)."
