"""GitHub-flavoured Markdown, for job summaries and issues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from turbo_lab.analysis.digits import significant
from turbo_lab.documents.compare import Published
from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.documents.sweep import CellResult, SweepResult, fixed_settings
from turbo_lab.report.brief import brief_table
from turbo_lab.report.columns import short_axis
from turbo_lab.report.sentences import (
    gate_origin,
    gate_outcome,
    gate_sides,
    listed_prompts,
    same_environment,
    same_pixels,
    time_taken,
)
from turbo_lab.verdict import WORST_FIRST, Verdict

if TYPE_CHECKING:
    from turbo_lab.report.outcomes import Outcomes


def gate_markdown(report: GateReport) -> str:
    """Return the checks of a gate and its verdict, for a job summary."""
    lines = [
        f"## turbo-lab gate {markdown_cell(report.gate)}: {report.verdict.emoji} {report.verdict}",
        "",
        "| check | verdict | candidate | baseline | difference (95%) | margin | n | note |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for check in report.checks:
        columns = [
            check.name,
            f"{check.verdict.emoji} {check.verdict}",
            number(check.value),
            number(check.baseline),
            difference(check),
            number(check.margin),
            str(check.n),
            note(check),
        ]
        lines.append("| " + " | ".join(markdown_cell(column) for column in columns) + " |")
    lines[2:2] = [markdown_cell(gate_outcome(report)), ""]
    for text in (same_pixels(report), taken_over(report)):
        lines += ["", f"{text}."] if text else []
    lines += [line for text in changed_most(report) for line in ("", f"{markdown_cell(text)}.")]
    lines += ["", "| side | settings | sha256 | versions |", "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(map(markdown_cell, side))} |" for side in gate_sides(report)]
    lines += ["", markdown_cell(gate_origin(report))]
    differs = report.fingerprint_difference
    if same := same_environment(report):
        lines += ["", same]
    if differs:
        lines += ["", "| fingerprint | baseline | here |", "| --- | --- | --- |"]
        lines += [
            f"| {_name(d.key)} | {markdown_cell(d.baseline)} | {markdown_cell(d.here)} |"
            for d in differs
        ]
    return "\n".join(lines) + "\n"


def outcomes_markdown(outcomes: Outcomes) -> str:
    """Return the rows of a command, those that did not pass first, for a job summary."""
    verdicts = [row.verdict for row in outcomes.rows]
    counted = ", ".join(f"{verdicts.count(one)} {one}" for one in Verdict if one in verdicts)
    lines = [
        f"## turbo-lab {markdown_cell(outcomes.title)}: {outcomes.verdict.emoji} "
        f"{outcomes.verdict}",
        "",
        f"{counted or 'no cases'}.",
        "",
        "| case | verdict | reason |",
        "| --- | --- | --- |",
    ]
    for row in sorted(outcomes.rows, key=lambda one: WORST_FIRST.index(one.verdict)):
        verdict = f"{row.verdict.emoji} {row.verdict}"
        lines.append(f"| {markdown_cell(row.name)} | {verdict} | {markdown_cell(row.text)} |")
    return "\n".join(lines) + "\n"


def taken_over(report: GateReport) -> str | None:
    """Return a warning if images came from the store; ``None`` if all were drawn.

    A check of stored images says nothing about code that was changed since.
    """
    if not report.from_store:
        return None
    return (
        f"{report.from_store} of the candidate's images were reused from the store, since weights "
        "and versions are equal; pass --fresh to draw them again"
    )


def sweep_markdown(sweep: SweepResult) -> str:
    """Return a sweep's table and settings, for a job summary or an issue."""
    counts, cells = sweep.counts, sweep.cells
    lines = [f"## turbo-lab sweep `{sweep.sweep_id}`", ""]
    lines += [f"{counts.distinct} cells: {counts.outcomes}; {time_taken(sweep)}", ""]
    lines.append(sweep_table(cells))
    lines += ["| setting | value |", "| --- | --- |"]
    lines += [
        f"| {name} | {markdown_cell(value)} |" for name, value in fixed_settings(cells).items()
    ]
    errors = [f"- {markdown_cell(row.error)}" for row in cells if row.error]
    return "\n".join([*lines, *([""] if errors else []), *errors]) + "\n"


def sweep_table(cells: Sequence[CellResult]) -> str:
    """Return one row per cell, with the best value of each column in bold."""
    found = brief_table(cells)
    heads = [_name(head) for head in (*map(short_axis, found.axes), *found.headings)]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for cell, row in zip(cells, found.rows, strict=True):
        values = [markdown_cell(cell.axes.get(name, "")) for name in found.axes]
        metrics = [f"**{one.text}**" if one.is_best else one.text for one in row]
        lines.append(f"| {' | '.join([*values, *metrics])} |")
    return "\n".join([*lines, "", *map(_name, found.notes)]) + "\n"


def describe(check: CheckResult) -> str:
    """Return one check in a line of text."""
    parts = []
    if check.difference is not None:
        parts.append(f"difference {difference(check)}, margin {number(check.margin)}")
    if remark := note(check):
        parts.append(remark)
    return "; ".join(parts) or check.verdict


def note(check: CheckResult) -> str:
    """Return the remark on a check, and how many pairs would decide it."""
    needed = check.needed_n
    wanted = f"about {needed} pairs instead of {check.n} would decide"
    return "; ".join(part for part in (wanted if needed else None, check.note) if part)


def changed_most(report: GateReport) -> list[str]:
    """Return one line per metric that did not pass, with the prompts to look at first."""
    return [
        f"{name} changed most on: {listed_prompts(pairs)}" for name, pairs in report.prompts.items()
    ]


def number(value: float | None) -> str:
    """Return a number with four significant digits; nothing for ``None``."""
    return "" if value is None else significant(value)


def difference(check: CheckResult) -> str:
    """Return a difference with its interval; nothing if there is none."""
    if check.difference is None:
        return ""
    interval = difference_interval(check)
    return signed(check.difference) + (f" ({interval})" if interval else "")


def signed(value: float) -> str:
    """Return a difference with its sign and four significant digits."""
    return f"{value:+.4g}"


def difference_interval(check: CheckResult) -> str:
    """Return the ends of the interval of a difference; nothing if there is none."""
    if check.ci95 is None:
        return ""
    low, high = check.ci95
    return f"{low:+.3g} to {high:+.3g}"


def markdown_cell(value: object, marks: str = "\\|<>`*_[]") -> str:
    """Return text that can neither end a table cell nor become markup."""
    text = " ".join(str(value).split())
    for mark in marks:
        text = text.replace(mark, "\\" + mark)
    return text


def _name(text: str) -> str:
    """Return a name or a note of somebody else's document; ``_`` in a name is not markup."""
    return markdown_cell(text, "\\|<>`")


_PUBLISHED = {
    "model": "model",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "size": "resolution",
    "FID": "fid",
    "patch FID": "patch_fid",
    "CLIP": "clip",
    "other": "other",
    "latency s": "latency_s",
    "publication": "publication",
    "verified": "verification",
}


def published_columns(rows: Sequence[Published]) -> dict[str, str]:
    """Return the fields that any row of a protocol reports, by heading."""
    return {
        head: name for head, name in _PUBLISHED.items() if any(getattr(row, name) for row in rows)
    }
