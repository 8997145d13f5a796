"""Result of a golden check, built from the checked cases, and its HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from turbo_lab import images
from turbo_lab.documents.golden import CheckedCase, GoldenCheck, GoldenKey
from turbo_lab.documents.occasion import occasion_now
from turbo_lab.documents.output import write_text
from turbo_lab.golden.check import CaseCheck
from turbo_lab.golden.library import to_strip
from turbo_lab.report.junit import junit
from turbo_lab.report.markdown import outcomes_markdown
from turbo_lab.report.outcomes import golden_outcomes
from turbo_lab.verdict import Verdict, worst

_ORPHAN = "orphan: no case uses this folder; remove it with turbo-lab golden prune"


def golden_check(
    checked: Sequence[CaseCheck], orphans: Sequence[str], command: Sequence[str] = ()
) -> GoldenCheck:
    """Return the result of a check; ``uncovered`` if there is no case at all.

    ``command``: words of the command line, for the reader.
    """
    cases = [checked_case(item) for item in checked]
    cases += [CheckedCase(name, Verdict.ERROR, tier=None, message=_ORPHAN) for name in orphans]
    verdict = worst(case.verdict for case in cases) if cases else Verdict.UNCOVERED
    here = next((item.fingerprint for item in checked if item.fingerprint is not None), None)
    occasion = None if here is None else occasion_now(command, here)
    return GoldenCheck(verdict, tuple(cases), occasion)


def checked_case(item: CaseCheck) -> CheckedCase:
    """Return the verdict on one case, with its evidence."""
    verdict = item.verdict
    return CheckedCase(
        name=verdict.name,
        verdict=verdict.verdict,
        tier=verdict.tier,
        message=verdict.message,
        first_divergence=verdict.first_divergence,
        fingerprint_difference=tuple(GoldenKey(*one) for one in verdict.fingerprint_difference),
        figures=verdict.metrics,
        stages=verdict.stages,
        identical=verdict.identical,
        own=item.own,
        causes=item.causes,
        explanation=_explanation(item),
        fingerprints=item.fingerprints,
        has_golden=item.has_golden,
        wall_s=item.wall_s or None,
    )


def _explanation(item: CaseCheck) -> str | None:
    """Return the result of ``--explain`` in words; ``None`` without that option."""
    if not item.own:
        return None
    causes = ", ".join(item.causes) or "none"
    text = f"stages that differ although their inputs are the golden's: {causes}"
    rest = [s.stage for s in item.own if not s.equal and s.stage not in item.causes]
    if not rest:
        return text
    return f"{text}; differing stages whose inputs the golden does not store: {', '.join(rest)}"


def write_check(
    files: Mapping[str, Path], check: GoldenCheck, checked: Sequence[CaseCheck]
) -> None:
    """Write a check to each file, by form: ``junit``, ``markdown`` or ``html``."""
    from turbo_lab.report.html.golden import golden_page

    outcomes = golden_outcomes(check)
    writers: dict[str, Callable[[], str]] = {
        "junit": lambda: junit(outcomes),
        "markdown": lambda: outcomes_markdown(outcomes),
        "html": lambda: golden_page(check, pictures_of(checked)),
    }
    for form, path in files.items():
        write_text(path, writers[form](), f"--{form}")


def pictures_of(checked: Sequence[CaseCheck]) -> dict[str, dict[str, bytes]]:
    """Return PNG files, by case and then by ``expected`` and ``actual``."""
    return {
        item.verdict.name: {
            side: images.encode_png(to_strip(pixels), {})
            for side, pixels in (("expected", item.expected), ("actual", item.actual))
            if pixels is not None
        }
        for item in checked
    }
