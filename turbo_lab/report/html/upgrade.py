"""HTML pages of an upgrade and of a bisection: the verdict, and what changed by stage."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.upgrade import BisectReport, StageChange, UpgradeReport
from turbo_lab.report.html.gate import check_table
from turbo_lab.report.html.page import Heading, Html, cell, page, pill, table, tag
from turbo_lab.report.markdown import number
from turbo_lab.report.upgrade_sentences import (
    change_of_bisect,
    latency_of_upgrade,
    origin_of_package,
    outcome_of_bisect,
    outcome_of_upgrade,
)

_HOW = (
    "Stages are compared between the two environments, on this machine and from the same inputs. "
    "Relative is the norm of the difference over that of this environment's tensor. A stage is a "
    "cause if it differs although its inputs are this environment's."
)


def upgrade_page(report: UpgradeReport) -> str:
    """Return the HTML page about an upgrade."""
    return page(
        f"Upgrade to {' '.join(report.requirements)}",
        report.verdict,
        tag("p", outcome_of_upgrade(report), class_="lead"),
        tag("h2", "Packages"),
        _packages(report),
        tag("h2", "Checks"),
        check_table(report.checks),
        *(tag("p", f"{text}.") for text in (*latency_of_upgrade(report), *report.notes)),
        *(
            (tag("h2", "Stages"), _stages(report.stages), tag("p", _HOW, class_="soft legend"))
            if report.stages
            else ()
        ),
        *((tag("h2", "Golden cases"), _cases(report)) if report.cases else ()),
        tag("p", f"Python {report.python}; {report.date}; lock file: {report.lock.name}"),
        kind="turbo-lab upgrade",
    )


def _packages(report: UpgradeReport) -> Html:
    rows = [
        (
            one.name,
            cell(one.here or "-", class_="mono"),
            cell(one.candidate, class_="mono differs"),
            origin_of_package(one),
        )
        for one in report.packages
    ]
    return table([Heading(name) for name in ("package", "here", "candidate", "origin")], rows)


def _stages(stages: Sequence[StageChange]) -> Html:
    heads = [Heading("stage"), *(Heading(name, is_number=True) for name in _STAGE_NUMBERS)]
    rows = [
        (
            one.kind,
            f"{one.cases} of {one.of}",
            one.first_in or "",
            one.cause_in or "",
            number(one.max_abs),
            number(one.relative_l2),
        )
        for one in stages
    ]
    return table(heads, rows, is_sortable=False)


_STAGE_NUMBERS = ("cases that differ", "first in", "cause in", "largest", "relative")


def _cases(report: UpgradeReport) -> Html:
    rows = [
        (
            case.name,
            pill(case.verdict),
            "yes" if case.identical else "no",
            case.first_difference.stage if case.first_difference else "",
            ", ".join(case.causes),
            cell(case.message, class_="note"),
        )
        for case in report.cases
    ]
    names = ("case", "verdict", "same bits", "first stage", "causes", "note")
    return table([Heading(name) for name in names], rows, class_="cards")


def bisect_page(report: BisectReport) -> str:
    """Return the HTML page about a bisection."""
    rows = [
        (
            one.version,
            pill(_PILLS.get(one.status, ""), one.status),
            ", ".join(f"{package.name} {package.candidate}" for package in one.packages),
            cell(one.note, class_="note"),
        )
        for one in report.versions
    ]
    heads = [Heading(name) for name in ("version", "outcome", "packages", "note")]
    return page(
        f"Bisection of {report.range}",
        None,
        tag("p", outcome_of_bisect(report), class_="lead"),
        *(
            section
            for change in report.changes
            for section in (
                tag("h2", f"{change.last_same} to {change.first_changed}"),
                *(tag("p", line) for line in change_of_bisect(change)),
                _stages(change.stages) if change.stages else None,
            )
        ),
        tag("h2", "Versions"),
        table(heads, rows, class_="cards"),
        tag("p", f"Test: {report.test}; {' '.join(report.words)}; {report.date}"),
        kind="turbo-lab bisect",
    )


_PILLS = {"same": "pass", "changed": "regression", "skipped": "uncovered"}
