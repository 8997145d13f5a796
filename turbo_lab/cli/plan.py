"""``turbo-lab plan``: what a sweep would run, and what it shares."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from turbo_lab.documents.output import print_document
from turbo_lab.planning.resolved_sweep import plan_values, resolve_points
from turbo_lab.workflows.settings import resolve_metric_context

if TYPE_CHECKING:
    from turbo_lab.config import GridPoint


def plan_points(points: Sequence[GridPoint], as_json: bool) -> int:
    """Plan a grid and print it; returns the exit code."""
    sweep = resolve_points(points)
    resolve_metric_context(sweep)
    values = plan_values(sweep)
    for text in values["warnings"]:
        print(f"warning: {text}", file=sys.stderr)
    if as_json:
        print_document("plan", values)
    else:
        from turbo_lab.report.text.tables import plan_table

        plan_table(values)
    return 0
