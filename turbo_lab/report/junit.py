"""Outcomes as JUnit XML, for CI systems."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from turbo_lab.report.outcomes import Outcome, Outcomes
from turbo_lab.verdict import Verdict

# Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAILURES = (Verdict.REGRESSION, Verdict.INCONCLUSIVE)
_ERRORS = (Verdict.ERROR, Verdict.UNCOVERED)


def junit(outcomes: Outcomes) -> str:
    """Return one test case per row, with its time.

    One that regresses or is inconclusive is a failure; one that is uncovered or could not run
    is an error.
    """
    rows = outcomes.rows
    suite = ElementTree.Element(
        "testsuite",
        name=_valid(f"turbo-lab {outcomes.title}"),
        timestamp=outcomes.date,
        tests=str(len(rows)),
        failures=str(sum(row.verdict in _FAILURES for row in rows)),
        errors=str(sum(row.verdict in _ERRORS for row in rows)),
        time=f"{sum(row.wall_s for row in rows):.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, text in outcomes.properties.items():
        ElementTree.SubElement(properties, "property", name=name, value=_valid(text))
    for row in rows:
        suite.append(_case(row, outcomes.class_name))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(row: Outcome, class_name: str) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=_valid(class_name + row.group),
        name=_valid(row.name),
        time=f"{row.wall_s:.3f}",
    )
    if row.verdict != Verdict.PASS:
        kind = "failure" if row.verdict in _FAILURES else "error"
        message = _valid(f"{row.verdict}: {row.text}")
        ElementTree.SubElement(case, kind, type=row.verdict, message=message)
    return case


def _valid(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
