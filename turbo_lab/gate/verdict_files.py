"""The verdict of a gate in files, in its store and in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from turbo_lab.documents.gate import GateReport
from turbo_lab.documents.output import write_text
from turbo_lab.gate.run import GateResult, pictures
from turbo_lab.planning.options import RunOptions


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


def track_gate(
    result: GateResult, report: GateReport, options: RunOptions, note: Callable[[str], None]
) -> None:
    """Keep a gate in the store of its options, and bring it into MLflow as they say.

    ``note`` gets a line if MLflow failed, which never changes the verdict.
    """
    from turbo_lab.report.html.gate import gate_page
    from turbo_lab.report.judgement import gate_judgement
    from turbo_lab.workflows.judgement import keep_judgement

    def page() -> str:
        return gate_page(report, pictures(result, report.prompts))

    keep_judgement(gate_judgement(report), page, options, note)
