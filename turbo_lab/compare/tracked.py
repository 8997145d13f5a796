"""A comparison in its store and in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from turbo_lab.compare.contenders import Comparison, pictures
from turbo_lab.compare.entrant import Entrant, FailedEntrant
from turbo_lab.documents.compare import CompareReport


def track_comparison(
    found: Comparison,
    report: CompareReport,
    entrants: Sequence[Entrant | FailedEntrant],
    note: Callable[[str], None],
) -> None:
    """Keep a comparison in the store of its entrants, and bring it into MLflow as they say.

    ``note`` gets a line if MLflow failed.
    """
    from turbo_lab.report.html.compare import compare_page
    from turbo_lab.report.judgement import compare_judgement
    from turbo_lab.workflows.judgement import keep_judgement

    def page() -> str:
        return compare_page(report, pictures(found, report.prompts))

    options = next(one.sweep.options for one in entrants if isinstance(one, Entrant))
    keep_judgement(compare_judgement(report), page, options, note)
