"""The result of a golden check, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from turbo_lab import images
from turbo_lab.documents.golden import CheckedCase, GoldenCheck, GoldenKey
from turbo_lab.golden.check import CaseCheck
from turbo_lab.golden.library import to_strip
from turbo_lab.verdict import Verdict, worst

_ORPHAN = "orphan: no case names this folder; turbo-lab golden prune removes it"


def golden_check(checked: Sequence[CaseCheck], orphans: Sequence[str]) -> GoldenCheck:
    """Return the result of a check. No case at all is ``uncovered``."""
    cases = [checked_case(item) for item in checked]
    cases += [CheckedCase(name, Verdict.ERROR, tier=None, message=_ORPHAN) for name in orphans]
    verdict = worst(case.verdict for case in cases) if cases else Verdict.UNCOVERED
    return GoldenCheck(verdict, tuple(cases))


def checked_case(item: CaseCheck) -> CheckedCase:
    """Return the verdict on one case, with what explains it."""
    said = item.verdict
    return CheckedCase(
        name=said.name,
        verdict=said.verdict,
        tier=said.tier,
        message=said.message,
        first_divergence=said.first_divergence,
        fingerprint_difference=tuple(GoldenKey(*one) for one in said.fingerprint_difference),
        figures=said.metrics,
        stages=said.stages,
        identical=said.identical,
        own=item.own,
        causes=item.causes,
        explanation=_explanation(item),
        fingerprints=item.fingerprints,
    )


def _explanation(item: CaseCheck) -> str | None:
    """Return what ``--explain`` found, in words."""
    if not item.own:
        return None
    text = f"fed the golden's tensors, these still differ: {', '.join(item.causes) or 'none'}"
    rest = [s.stage for s in item.own if not s.equal and s.stage not in item.causes]
    if not rest:
        return text
    return f"{text}; these may only pass on what the golden does not keep: {', '.join(rest)}"


def write_page(path: Path, check: GoldenCheck, checked: Sequence[CaseCheck]) -> None:
    """Write one HTML file: expected, actual, difference and the stage chain."""
    from turbo_lab.report.html.golden import golden_page

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(golden_page(check, pictures_of(checked)), encoding="utf-8")


def pictures_of(checked: Sequence[CaseCheck]) -> dict[str, dict[str, bytes]]:
    """Return PNG files by case, then ``expected`` and ``actual``."""
    return {
        item.verdict.name: {
            side: images.encode_png(to_strip(pixels), {})
            for side, pixels in (("expected", item.expected), ("actual", item.actual))
            if pixels is not None
        }
        for item in checked
    }
