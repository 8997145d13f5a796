"""GitHub-flavoured Markdown, for job summaries and issues."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.compare import Published
from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.documents.sweep import CellResult, SweepResult, fixed_settings
from turbo_lab.report.brief import brief_table
from turbo_lab.report.columns import short_axis


def gate_markdown(report: GateReport) -> str:
    """A table for a job summary."""
    lines = [
        f"## turbo-lab gate {_cell(report.gate)}: {report.verdict.emoji} {report.verdict}",
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
        lines.append("| " + " | ".join(_cell(column) for column in columns) + " |")
    identical, differs = report.identical_images, report.fingerprint_difference
    if identical is not None:
        same = f"{identical.same} of {identical.of}"
        lines += ["", f"{same} images have the baseline's pixels."]
    if stored := taken_over(report):
        lines += ["", f"{stored}."]
    lines += [line for text in changed_most(report) for line in ("", f"{_cell(text)}.")]
    if differs:
        lines += ["", "| fingerprint | baseline | here |", "| --- | --- | --- |"]
        lines += [f"| {d.key} | {_cell(d.baseline)} | {_cell(d.here)} |" for d in differs]
    return "\n".join(lines) + "\n"


def taken_over(report: GateReport) -> str | None:
    """That the candidate was not drawn: a check of stored images says nothing of patched code."""
    if not report.from_store:
        return None
    return (
        f"{report.from_store} of the candidate's images are from the store, by equal weights "
        "and versions; --fresh draws them again"
    )


def sweep_markdown(sweep: SweepResult) -> str:
    """Return a sweep's table and settings, for a job summary or an issue."""
    counts, cells = sweep.counts, sweep.cells
    lines = [f"## turbo-lab sweep `{sweep.sweep_id}`", ""]
    lines += [f"{counts.distinct} cells: {counts.outcomes}", "", _sweep_table(cells)]
    lines += ["| setting | value |", "| --- | --- |"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in fixed_settings(cells).items()]
    errors = [f"- {_cell(row.error)}" for row in cells if row.error]
    return "\n".join([*lines, *([""] if errors else []), *errors]) + "\n"


def _sweep_table(cells: Sequence[CellResult]) -> str:
    """Return cells by figures, the best of each column in bold."""
    found = brief_table(cells)
    heads = [*(short_axis(name) for name in found.axes), *found.headings]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for cell, row in zip(cells, found.rows, strict=True):
        values = [_cell(cell.axes.get(name, "")) for name in found.axes]
        figures = [f"**{one.text}**" if one.is_best else one.text for one in row]
        lines.append(f"| {' | '.join([*values, *figures])} |")
    return "\n".join([*lines, "", *found.notes]) + "\n"


def describe(check: CheckResult) -> str:
    """One check in a line."""
    parts = []
    if check.difference is not None:
        parts.append(f"difference {difference(check)}, margin {number(check.margin)}")
    if said := note(check):
        parts.append(said)
    return "; ".join(parts) or check.verdict


def note(check: CheckResult) -> str:
    """What a reader must know of a check, and how many pairs would decide it."""
    needed = check.needed_n
    told = None if needed is None else f"about {needed} instead of {check.n} would decide"
    return "; ".join(part for part in (told, check.note) if part)


def changed_most(report: GateReport) -> list[str]:
    """A line a figure that did not pass: the prompts to look at first."""
    return [
        f"{name} changed most on: "
        + "; ".join(f"{prompt} ({value:+.2f})" for prompt, value in pairs)
        for name, pairs in report.prompts.items()
    ]


def number(value: float | None) -> str:
    """Four digits, or nothing."""
    return "" if value is None else f"{value:.4g}"


def difference(check: CheckResult) -> str:
    """A difference with its interval."""
    if check.difference is None:
        return ""
    text = f"{check.difference:+.4g}"
    if check.ci95 is not None:
        low, high = check.ci95
        text += f" ({low:+.3g} to {high:+.3g})"
    return text


def _cell(value: object) -> str:
    """Text that cannot end a cell, nor become markup."""
    text = " ".join(str(value).split())
    for mark in ("\\", "|", "<", ">", "`", "*", "_", "[", "]"):
        text = text.replace(mark, "\\" + mark)
    return text


_PUBLISHED = {
    "model": "model", "steps": "num_inference_steps", "guidance": "guidance_scale",
    "size": "resolution", "FID": "fid", "patch FID": "patch_fid", "CLIP": "clip",
    "other": "other", "latency s": "latency_s", "in": "publication", "read": "verification",
}  # fmt: skip


def published_columns(rows: Sequence[Published]) -> dict[str, str]:
    """Return the fields that any row of a protocol reports, by heading."""
    return {
        head: name for head, name in _PUBLISHED.items() if any(getattr(row, name) for row in rows)
    }
