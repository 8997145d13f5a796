"""Documents for other programs: JUnit XML and GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from turbo_lab.store.record import CellStatus
from turbo_lab.verdict import Verdict

# Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gate_junit(values: Mapping[str, Any]) -> str:
    """One test case a check: what regressed or is undecided fails, the rest are errors."""
    checks = values["checks"]
    failures = [c for c in checks if c["verdict"] in (Verdict.REGRESSION, Verdict.INCONCLUSIVE)]
    errors = [c for c in checks if c["verdict"] in (Verdict.ERROR, Verdict.UNCOVERED)]
    suite = ElementTree.Element(
        "testsuite",
        name=f"turbo-lab gate {values['gate']}",
        tests=str(len(checks)),
        failures=str(len(failures)),
        errors=str(len(errors)),
    )
    for check in checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"gate.{values['gate']}", name=check["name"]
        )
        if check["verdict"] != Verdict.PASS:
            kind = "failure" if check in failures else "error"
            message = _NOT_XML.sub("\ufffd", f"{check['verdict']}: {describe(check)}")
            ElementTree.SubElement(case, kind, type=check["verdict"], message=message)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def gate_markdown(values: Mapping[str, Any]) -> str:
    """A table for a job summary."""
    lines = [
        f"## turbo-lab gate {_cell(values['gate'])}: {Verdict(values['verdict']).emoji} "
        f"{values['verdict']}",
        "",
        "| check | verdict | candidate | baseline | difference (95%) | margin | n | note |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for check in values["checks"]:
        columns = [
            check["name"],
            f"{Verdict(check['verdict']).emoji} {check['verdict']}",
            number(check["value"]),
            number(check["baseline"]),
            difference(check),
            number(check["margin"]),
            str(check["n"]),
            note(check),
        ]
        lines.append("| " + " | ".join(_cell(column) for column in columns) + " |")
    identical, differs = values["identical_images"], values["fingerprint_difference"]
    if identical is not None:
        same = f"{identical['same']} of {identical['of']}"
        lines += ["", f"{same} images have the baseline's pixels."]
    if stored := taken_over(values):
        lines += ["", f"{stored}."]
    lines += [line for text in changed_most(values) for line in ("", f"{_cell(text)}.")]
    if differs:
        lines += ["", "| fingerprint | baseline | here |", "| --- | --- | --- |"]
        lines += [f"| {d['key']} | {_cell(d['baseline'])} | {_cell(d['here'])} |" for d in differs]
    return "\n".join(lines) + "\n"


def taken_over(values: Mapping[str, Any]) -> str | None:
    """That the candidate was not drawn: a check of stored images says nothing of patched code."""
    if not values.get("from_store"):
        return None
    return (
        f"{values['from_store']} of the candidate's images are from the store, by equal weights "
        "and versions; --fresh draws them again"
    )


def sweep_markdown(values: Mapping[str, Any]) -> str:
    """A sweep's table with what it was run with, for a job summary or an issue."""
    from turbo_lab.report.text.tables import markdown_table

    counts, cells = values["counts"], values["cells"]
    ran = ", ".join(f"{counts[k]} {k}" for k in CellStatus if counts[k])
    lines = [f"## turbo-lab sweep `{values['sweep_id']}`", "", f"{counts['distinct']} cells: {ran}",
             "", markdown_table(values)]  # fmt: skip
    fixed = {
        name: value
        for name, value in cells[0]["parameters"].items()
        if value is not None and all(row["parameters"].get(name) == value for row in cells)
    }
    lines += ["| setting | value |", "| --- | --- |"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in fixed.items()]
    errors = [f"- {_cell(row['error'])}" for row in cells if row["error"]]
    return "\n".join([*lines, *([""] if errors else []), *errors]) + "\n"


def describe(check: Mapping[str, Any]) -> str:
    """One check in a line."""
    parts = []
    if check["difference"] is not None:
        parts.append(f"difference {difference(check)}, margin {number(check['margin'])}")
    if said := note(check):
        parts.append(said)
    return "; ".join(parts) or check["verdict"]


def note(check: Mapping[str, Any]) -> str:
    """What a reader must know of a check, and how many pairs would decide it."""
    needed = check["needed_n"]
    told = None if needed is None else f"about {needed} instead of {check['n']} would decide"
    return "; ".join(part for part in (told, check["note"]) if part)


def changed_most(values: Mapping[str, Any]) -> list[str]:
    """A line a figure that did not pass: the prompts to look at first."""
    return [
        f"{name} changed most on: "
        + "; ".join(f"{prompt} ({value:+.2f})" for prompt, value in pairs)
        for name, pairs in values["prompts"].items()
    ]


def number(value: float | None) -> str:
    """Four digits, or nothing."""
    return "" if value is None else f"{float(value):.4g}"


def difference(check: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    if check["difference"] is None:
        return ""
    text = f"{float(check['difference']):+.4g}"
    if check["ci95"] is not None:
        low, high = (float(bound) for bound in check["ci95"])
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


def published_columns(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Heading to field of what any row of a protocol reports."""
    return {head: name for head, name in _PUBLISHED.items() if any(row[name] for row in rows)}
