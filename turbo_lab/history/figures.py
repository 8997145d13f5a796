"""The numbers of a document that are worth keeping, as one entry of a history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_lab.documents.document import read_document
from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.documents.golden import CheckedCase, GoldenCheck
from turbo_lab.documents.history import Figure, HistoryEntry, Interval
from turbo_lab.documents.timing import BenchCell, BenchResult, PairResult
from turbo_lab.errors import InputError
from turbo_lab.verdict import Direction, Verdict

Kept = GateReport | BenchResult | PairResult | GoldenCheck
"""A document that a history takes numbers from."""
# Words that say where results go, not what is measured.
_ELSEWHERE = ("store", "tracking", "sheet", "output", "sweep", "gate", "host")
_TIMED_CHECKS = ("latency", "energy", "memory")


def entry_of(document: Kept) -> HistoryEntry:
    """Return the entry of a document.

    It has no figures if nothing was measured. Raises :class:`InputError` for a document without
    an ``occasion``.
    """
    kind = next(kind for kind, row in _ROWS.items() if isinstance(document, row.cls))
    occasion = document.occasion
    if occasion is None:
        raise InputError(
            f"{kind}: the document does not say when and where it was measured; it was written by "
            "an older turbo-lab, or nothing was drawn"
        )
    figures = tuple(_ROWS[kind].figures(document, subject_of(occasion.command)))
    verdict = document.verdict if isinstance(document, GateReport | GoldenCheck) else None
    return HistoryEntry(kind, verdict, occasion, figures)


def read_entry(values: Mapping[str, object], where: str) -> HistoryEntry:
    """Return the entry of a document from a file. Raises :class:`TurboLabError`."""
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _ROWS:
        shown = kind if isinstance(kind, str) else "unknown"
        raise InputError(
            f"{where}: is a document of kind {shown!r}; a history takes those that --json prints "
            f"for {', '.join(_ROWS)}"
        )
    document: Any = read_document(_ROWS[kind].cls, kind, values, where)
    return entry_of(document)


def subject_of(command: Sequence[str]) -> str:
    """Return the words of a command line that say what is measured, sorted."""
    words = [word for word in command if not word.startswith("-")]
    kept = [word for word in words if word.split("=")[0].split(".")[0] not in _ELSEWHERE]
    return " ".join(sorted(kept))


def _gate_figures(report: GateReport, subject: str) -> Iterable[Figure]:
    for check in report.checks:
        if check.value is not None:
            yield Figure(
                name=check.name,
                subject=" ".join((f"gate={report.gate}", subject)).strip(),
                value=check.value,
                ci95=_interval_of_value(check),
                unit="" if check.unit in ("ratio", "fraction") else check.unit,
                direction=check.direction,
                is_timed=check.name in _TIMED_CHECKS,
            )


def _interval_of_value(check: CheckResult) -> Interval | None:
    """Return the interval of the candidate's value: the baseline plus that of the difference."""
    if check.ci95 is None or check.baseline is None:
        return None
    low, high = check.ci95
    return check.baseline + low, check.baseline + high


def _bench_figures(result: BenchResult, subject: str) -> Iterable[Figure]:
    for cell in result.cells:
        axes = " ".join(f"{key}={value}" for key, value in cell.axes.items())
        fixed = [word for word in subject.split() if word.split("=")[0] not in cell.axes]
        yield from _cell_figures(cell, " ".join([*fixed, axes]).strip() or "bench")


def _cell_figures(cell: BenchCell, subject: str) -> Iterable[Figure]:
    timing = cell.timing
    if cell.latency_s is None or timing is None:
        return
    lower = Direction.LOWER
    latency, energy = cell.latency_s, timing.energy
    yield Figure("latency", subject, latency.p50, latency.ci95, "s", lower, is_timed=True)
    yield Figure("first_call", subject, timing.first_call_s, None, "s", lower, is_timed=True)
    memory = float(timing.peak_memory_bytes)
    yield Figure("peak_memory", subject, memory, None, "bytes", lower, is_timed=True)
    if cell.load_s is not None:
        yield Figure("load", subject, cell.load_s, None, "s", lower, is_timed=True)
    if timing.compile_s is not None:
        yield Figure("compile", subject, timing.compile_s, None, "s", lower, is_timed=True)
    if energy is not None:
        joules = energy.joules_per_image
        yield Figure("energy", subject, joules, energy.ci95, "J/image", lower, is_timed=True)


def _pair_figures(result: PairResult, subject: str) -> Iterable[Figure]:
    lower = Direction.LOWER
    yield Figure("latency ratio", subject, result.ratio, result.ci95, "", lower, is_timed=True)
    yield Figure("latency", subject, result.candidate_s, None, "s", lower, is_timed=True)
    if result.energy is not None:
        ratio, ci95 = result.energy.ratio, result.energy.ci95
        yield Figure("energy ratio", subject, ratio, ci95, "", lower, is_timed=True)


def _golden_figures(check: GoldenCheck, subject: str) -> Iterable[Figure]:
    cases = [case for case in check.cases if case.verdict != Verdict.UNCOVERED]
    if not cases:
        return
    higher = Direction.HIGHER
    keys = " ".join(word for word in subject.split() if "=" in word)
    everything = keys or "golden check"
    passing = sum(case.verdict == Verdict.PASS for case in cases) / len(cases)
    identical = sum(case.identical for case in cases) / len(cases)
    yield Figure("goldens passing", everything, passing, None, "", higher, is_timed=False)
    yield Figure("goldens identical", everything, identical, None, "", higher, is_timed=False)
    for case in cases:
        used = _share_used(case)
        if used is not None:
            name = f"{case.name} {keys}".strip()
            yield Figure(
                "share of tolerance", name, used, None, "", Direction.LOWER, is_timed=False
            )


def _share_used(case: CheckedCase) -> float | None:
    """Return the largest distance of a case as a share of its threshold."""
    if case.identical:
        return 0.0
    shares = [
        one.value / one.threshold
        for one in case.figures.values()
        if one.value is not None and one.threshold > 0
    ]
    return max(shares, default=None)


@dataclass(frozen=True)
class _Row:
    """A kind of document that a history takes numbers from."""

    cls: type[Kept]
    """Its dataclass."""
    figures: Any
    """Function from the document and its subject to its figures."""


_ROWS: Mapping[str, _Row] = {
    "gate": _Row(GateReport, _gate_figures),
    "bench": _Row(BenchResult, _bench_figures),
    "bench pair": _Row(PairResult, _pair_figures),
    "golden check": _Row(GoldenCheck, _golden_figures),
}
