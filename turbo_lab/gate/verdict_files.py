"""Write the verdict of a gate to files: JUnit XML, Markdown, a comment and a page with images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from turbo_lab.documents.gate import GateReport
from turbo_lab.documents.output import write_text
from turbo_lab.gate.run import GateResult, pictures


def write_verdict(files: Mapping[str, Path], result: GateResult, report: GateReport) -> None:
    """Write the verdict to each file, by form: ``junit``, ``markdown``, ``comment`` or ``html``."""
    from turbo_lab.report.github import comment
    from turbo_lab.report.html.gate import gate_page
    from turbo_lab.report.junit import junit
    from turbo_lab.report.markdown import gate_markdown
    from turbo_lab.report.outcomes import gate_outcomes

    outcomes = gate_outcomes(report)

    writers: dict[str, Callable[[], str]] = {
        "junit": lambda: junit(outcomes),
        "markdown": lambda: gate_markdown(report),
        "comment": lambda: comment(outcomes.title, gate_markdown(report)),
        "html": lambda: gate_page(report, pictures(result, report.prompts)),
    }
    for form, path in files.items():
        write_text(path, writers[form](), f"--{form}")
