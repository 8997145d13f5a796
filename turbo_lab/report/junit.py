"""Checks of a gate as JUnit XML, for CI systems."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from turbo_lab.documents.gate import GateReport
from turbo_lab.report.markdown import describe
from turbo_lab.verdict import Verdict

# Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gate_junit(report: GateReport) -> str:
    """Return one test case per check.

    A check that regresses or is inconclusive is a failure; one that is uncovered or could not run
    is an error.
    """
    checks = report.checks
    failures = [c for c in checks if c.verdict in (Verdict.REGRESSION, Verdict.INCONCLUSIVE)]
    errors = [c for c in checks if c.verdict in (Verdict.ERROR, Verdict.UNCOVERED)]
    suite = ElementTree.Element(
        "testsuite",
        name=f"turbo-lab gate {report.gate}",
        tests=str(len(checks)),
        failures=str(len(failures)),
        errors=str(len(errors)),
    )
    for check in checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"gate.{report.gate}", name=check.name
        )
        if check.verdict != Verdict.PASS:
            kind = "failure" if check in failures else "error"
            message = _NOT_XML.sub("\ufffd", f"{check.verdict}: {describe(check)}")
            ElementTree.SubElement(case, kind, type=check.verdict, message=message)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
