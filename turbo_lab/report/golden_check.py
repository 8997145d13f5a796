"""What a check came to, as a document and as a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turbo_lab import images
from turbo_lab.golden.judgement import CaseVerdict
from turbo_lab.golden.library import to_strip
from turbo_lab.golden.lifecycle import Checked
from turbo_lab.request.recipe import as_plain
from turbo_lab.verdict import Verdict, worst


def check_document(checked: Sequence[Checked], orphans: Sequence[str]) -> dict[str, Any]:
    """The ``golden check`` document, without its header. No case at all is ``uncovered``."""
    rows = [_case_row(item.verdict, item) for item in checked]
    rows += [
        {
            "name": name,
            "verdict": Verdict.ERROR,
            "tier": None,
            "message": "orphan: no case names this folder; turbo-lab golden prune removes it",
            "identical": False,
            "first_divergence": None,
            "fingerprint_difference": [],
            "figures": {},
            "stages": [],
            "own": [],
            "causes": [],
            "explanation": None,
            "fingerprints": {},
        }
        for name in orphans
    ]
    verdict = worst(row["verdict"] for row in rows) if rows else Verdict.UNCOVERED
    return {"verdict": verdict, "cases": rows}


def _case_row(verdict: CaseVerdict, item: Checked) -> dict[str, Any]:
    plain: dict[str, Any] = as_plain(dataclasses.replace(verdict, fingerprint_difference=()))
    plain["fingerprint_difference"] = [
        {"key": key, "golden": before, "here": here}
        for key, before, here in verdict.fingerprint_difference
    ]
    return {
        **plain,
        "own": as_plain(item.own),
        "causes": list(item.causes),
        "explanation": _explanation(item),
        "fingerprints": as_plain(item.fingerprints),
    }


def _explanation(item: Checked) -> str | None:
    """What ``--explain`` found, in words."""
    if not item.own:
        return None
    text = f"fed the golden's tensors, these still differ: {', '.join(item.causes) or 'none'}"
    rest = [s.stage for s in item.own if not s.equal and s.stage not in item.causes]
    if not rest:
        return text
    return f"{text}; these may only pass on what the golden does not keep: {', '.join(rest)}"


def write_page(path: Path, values: dict[str, Any], checked: Sequence[Checked]) -> None:
    """One self-contained HTML file: expected, actual, difference and the stage chain."""
    from turbo_lab.report.html.golden import golden_report

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(golden_report(values, pictures_of(checked)), encoding="utf-8")


def pictures_of(checked: Sequence[Checked]) -> dict[str, dict[str, bytes]]:
    """PNG files by case, then ``expected`` and ``actual``."""
    return {
        item.verdict.name: {
            side: images.encode_png(to_strip(pixels), {})
            for side, pixels in (("expected", item.expected), ("actual", item.actual))
            if pixels is not None
        }
        for item in checked
    }
