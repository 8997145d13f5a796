"""Write the verdict of a gate to files: JUnit XML, Markdown and a page with images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from turbo_lab.documents.gate import GateReport
from turbo_lab.documents.output import write_text
from turbo_lab.gate.run import GateResult, pictures


def write_verdict(files: Mapping[str, Path], result: GateResult, report: GateReport) -> None:
    """Write the verdict to each file, by form: ``junit``, ``markdown`` or ``html``."""
    from turbo_lab.report.html.gate import gate_page
    from turbo_lab.report.junit import gate_junit
    from turbo_lab.report.markdown import gate_markdown

    writers: dict[str, Callable[[], str]] = {
        "junit": lambda: gate_junit(report),
        "markdown": lambda: gate_markdown(report),
        "html": lambda: gate_page(report, pictures(result, report.prompts)),
    }
    for form, path in files.items():
        write_text(path, writers[form](), f"--{form}")
