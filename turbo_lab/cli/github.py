"""Messages of a command to GitHub Actions: annotations, the job's summary, outputs of a step."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from turbo_lab.report.outcomes import Outcomes

# GitHub drops a summary of more than 1 MiB as a whole.
_MOST_SUMMARY_BYTES = 1_000_000

no_github_option = click.option(
    "--no-github",
    is_flag=True,
    help="In GitHub Actions: no annotations, summary or outputs.",
)


def tell_github(
    outcomes: Outcomes, markdown: str, files: Mapping[str, Path], *, no_github: bool
) -> None:
    """Annotate the job and write its summary and outputs, where ``GITHUB_ACTIONS`` is ``true``.

    ``markdown``: the summary. ``files``: written reports, by form; each is an output of the step,
    next to ``verdict``. What cannot be written is said and changes no verdict.
    """
    if no_github or os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from turbo_lab.report.github import annotation_lines, step_outputs

    for line in annotation_lines(outcomes):
        print(line, file=sys.stderr)
    values = {"verdict": str(outcomes.verdict)}
    values |= {form: str(path) for form, path in files.items()}
    _append("GITHUB_OUTPUT", step_outputs(values))
    if len(markdown.encode()) <= _MOST_SUMMARY_BYTES:
        _append("GITHUB_STEP_SUMMARY", markdown + "\n")
    else:
        print("warning: the report is too long for the job's summary", file=sys.stderr)


def _append(variable: str, text: str) -> None:
    """Append to the file that a variable names, if it is set."""
    path = os.environ.get(variable)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        print(f"warning: {variable}={path}: cannot be written ({error.strerror})", file=sys.stderr)
