"""Outcomes in the formats of GitHub: annotations, outputs of a step, and a comment."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from turbo_lab.report.outcomes import Outcome, Outcomes
from turbo_lab.verdict import Verdict

# GitHub shows ten annotations of a kind per step.
_MOST_ANNOTATIONS = 10
_KINDS = {
    Verdict.REGRESSION: "error",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "warning",
    Verdict.UNCOVERED: "warning",
}
# GitHub refuses a longer comment; some room is left for what others add.
_MOST_COMMENT = 60_000
_SHORTENED = "\n\nThis comment was shortened; the whole report is an artifact of the job.\n"


def annotation_lines(outcomes: Outcomes) -> list[str]:
    """Return a workflow command per row that did not pass, at most ten per kind."""
    lines = []
    for kind in ("error", "warning"):
        rows = [row for row in outcomes.rows if _KINDS.get(row.verdict) == kind]
        shown = rows if len(rows) <= _MOST_ANNOTATIONS else rows[: _MOST_ANNOTATIONS - 1]
        lines += [_annotation(kind, outcomes, row) for row in shown]
        if rest := rows[len(shown) :]:
            names = ", ".join(row.name for row in rest)
            more = Outcome(f"{len(rest)} more", rest[0].verdict, names)
            lines.append(_annotation(kind, outcomes, more))
    return lines


def step_outputs(values: Mapping[str, str]) -> str:
    """Return lines for the file that ``GITHUB_OUTPUT`` names; a value may have several lines."""
    mark = f"turbo-lab-{uuid.uuid4().hex}"
    return "".join(f"{name}<<{mark}\n{value}\n{mark}\n" for name, value in values.items())


def comment(title: str, markdown: str) -> str:
    """Return a comment for a pull request, shortened to what GitHub accepts.

    Its first line is a mark that readers do not see, by which the next run finds the comment and
    updates it.
    """
    text = f"{comment_mark(title)}\n{markdown}"
    return text if len(text) <= _MOST_COMMENT else _whole_lines(text) + _SHORTENED


def comment_mark(title: str) -> str:
    """Return the first line of the comment of a command."""
    name = "".join(letter if letter.isalnum() or letter in " ._" else "-" for letter in title)
    return f"<!-- turbo-lab {re.sub('-+', '-', name)} -->"


def _whole_lines(text: str) -> str:
    return text[: text.rindex("\n", 0, _MOST_COMMENT - len(_SHORTENED))]


def _annotation(kind: str, outcomes: Outcomes, row: Outcome) -> str:
    title = _escaped(f"turbo-lab {outcomes.title}: {row.name}", {":": "%3A", ",": "%2C"})
    return f"::{kind} title={title}::{_escaped(f'{row.verdict}: {row.text}')}"


def _escaped(text: str, others: Mapping[str, str] | None = None) -> str:
    """Return text for a workflow command, which ends with its line."""
    for mark, code in {"%": "%25", "\r": "%0D", "\n": "%0A", **(others or {})}.items():
        text = text.replace(mark, code)
    return text
