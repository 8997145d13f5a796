"""Checks of a gate as JUnit XML, for CI systems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.report.markdown import describe
from turbo_lab.report.sentences import gate_origin, gate_sides
from turbo_lab.verdict import Verdict

# Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_FAILURES = (Verdict.REGRESSION, Verdict.INCONCLUSIVE)
_ERRORS = (Verdict.ERROR, Verdict.UNCOVERED)


@dataclass(frozen=True)
class _Case:
    """One test case."""

    group: str
    """Name of its group, after that of the gate."""
    name: str
    """Name of the check or of the golden."""
    verdict: Verdict
    """Its verdict."""
    text: str
    """The verdict with its reason."""
    wall_s: float
    """Time that it took, in seconds."""


def gate_junit(report: GateReport) -> str:
    """Return one test case per check and one per golden case, with their times.

    One that regresses or is inconclusive is a failure; one that is uncovered or could not run
    is an error.
    """
    cases = [case for check in report.checks for case in _cases(check)]
    suite = ElementTree.Element(
        "testsuite",
        name=f"turbo-lab gate {report.gate}",
        timestamp=report.date,
        tests=str(len(cases)),
        failures=str(sum(case.verdict in _FAILURES for case in cases)),
        errors=str(sum(case.verdict in _ERRORS for case in cases)),
        time=f"{sum(check.wall_s or 0.0 for check in report.checks):.3f}",
    )
    _add_properties(suite, report)
    for case in cases:
        element = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"gate.{report.gate}{case.group}",
            name=case.name,
            time=f"{case.wall_s:.3f}",
        )
        if case.verdict != Verdict.PASS:
            kind = "failure" if case.verdict in _FAILURES else "error"
            message = _valid(f"{case.verdict}: {case.text}")
            ElementTree.SubElement(element, kind, type=case.verdict, message=message)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _cases(check: CheckResult) -> Iterator[_Case]:
    """Yield the check, then its golden cases; their times are not part of the check's."""
    goldens = check.goldens or ()
    own_s = max(0.0, (check.wall_s or 0.0) - sum(one.wall_s for one in goldens))
    yield _Case(
        group="",
        name=check.name,
        verdict=check.verdict,
        text=describe(check),
        wall_s=own_s,
    )
    for one in goldens:
        first = one.first_divergence
        text = one.message if first is None else f"{one.message}; first at {first}"
        yield _Case(
            group=".goldens",
            name=one.name,
            verdict=one.verdict,
            text=text,
            wall_s=one.wall_s,
        )


def _add_properties(suite: ElementTree.Element, report: GateReport) -> None:
    """Add the date, the commit, and content and versions of both sides."""
    found = {"origin": gate_origin(report)}
    for name, words, digests, versions in gate_sides(report):
        found |= {name: words, f"{name} digests": digests, f"{name} versions": versions}
    properties = ElementTree.SubElement(suite, "properties")
    for name, text in found.items():
        ElementTree.SubElement(properties, "property", name=name, value=_valid(text))


def _valid(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
