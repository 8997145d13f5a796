"""Summaries of comparisons and gates for MLflow: key figures, sides, and a few lines of text."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from turbo_lab import environment
from turbo_lab.documents.compare import CompareReport
from turbo_lab.documents.document import to_document
from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.identity import digest
from turbo_lab.report.markdown import difference, gate_markdown, markdown_cell
from turbo_lab.store.judgement import Judgement
from turbo_lab.tracking.names import MAX_TAG, cut

# Facts about the environment that people filter runs by.
_KEYS = ("diffusers", "torch", "transformers", "peft", "device_model", "num_threads")


def gate_judgement(report: GateReport) -> Judgement:
    """Return the summary of a gate."""
    stored = isinstance(report.baseline, str)
    baseline = str(report.baseline) if stored else " ".join(report.baseline)
    facts = {key: str(report.fingerprint[key]) for key in _KEYS if key in report.fingerprint}
    return Judgement(
        judgement_id=digest(to_document("gate", report)),
        command="gate",
        name=report.gate,
        verdict=report.verdict,
        made_at=time.time(),
        parameters={
            "gate": report.gate,
            "candidate": " ".join(report.candidate),
            "baseline": baseline,
            **facts,
        },
        metrics=_finite(_check_figures(report.checks)),
        description=cut(gate_markdown(report), MAX_TAG),
        git=report.git,
    )


def compare_judgement(report: CompareReport) -> Judgement:
    """Return the summary of a comparison."""
    candidate = next(one for one in report.contenders if one.label == report.candidate)
    figures: dict[str, float | None] = {
        name: metric.value for name, metric in candidate.metrics.items()
    }
    figures["latency_p50_s"] = candidate.latency_s.p50
    if candidate.energy is not None:
        figures["joules_per_image"] = candidate.energy.joules_per_image
    others = [one.label for one in report.contenders if one.label != report.candidate]
    return Judgement(
        judgement_id=digest(to_document("compare", report)),
        command="compare",
        name=report.candidate,
        verdict=report.verdict,
        made_at=time.time(),
        parameters={"candidate": report.candidate, "baseline": ", ".join(others)},
        metrics=_finite({**figures, **_differences(report.rows)}),
        description=cut(_compare_markdown(report), MAX_TAG),
        git=environment.git_state(Path.cwd()),
    )


def _check_figures(checks: Iterable[CheckResult]) -> dict[str, float | None]:
    """Return value and difference of each check."""
    checks = tuple(checks)
    return {**{check.name: check.value for check in checks}, **_differences(checks)}


def _differences(rows: Iterable[CheckResult]) -> dict[str, float | None]:
    return {f"difference {row.name}": row.difference for row in rows}


def _finite(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {k: float(v) for k, v in figures.items() if v is not None and math.isfinite(v)}


def _compare_markdown(report: CompareReport) -> str:
    """Return the verdict and one row per metric and baseline."""
    lines = [
        f"**{report.verdict.emoji} {report.verdict}**: {markdown_cell(report.candidate)}",
        "",
        "| comparison | verdict | difference (95%) | n |",
        "| --- | --- | ---: | ---: |",
        *(_row(row) for row in report.rows),
    ]
    return "\n".join(lines) + "\n"


def _row(row: CheckResult) -> str:
    cells: Sequence[object] = (
        row.name,
        f"{row.verdict.emoji} {row.verdict}",
        difference(row),
        row.n,
    )
    return f"| {' | '.join(map(markdown_cell, cells))} |"
