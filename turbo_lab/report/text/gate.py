"""Results of the ``gate`` commands as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from turbo_lab.documents.gate import CheckResult, GateCalibrated, GateMutation, GateReport
from turbo_lab.report.markdown import changed_most, difference, note, number, taken_over
from turbo_lab.report.sentences import (
    gate_origin,
    gate_outcome,
    gate_sides,
    same_environment,
    same_pixels,
)
from turbo_lab.report.text.layout import Head, number_heads, print_table
from turbo_lab.report.text.terminal import open_console
from turbo_lab.verdict import Verdict


def print_checks(
    console: Console, checks: Sequence[CheckResult], baseline: str = "baseline"
) -> None:
    """Print a row per check. ``baseline``: heading of what the candidate is compared with."""
    heads = [Head("check"), Head("verdict")]
    heads += number_heads("candidate", baseline, "difference (95%)", "margin", "n")
    rows = [
        [
            escape(check.name),
            f"[{check.verdict.style}]{check.verdict}[/]",
            number(check.value),
            number(check.baseline),
            difference(check),
            number(check.margin),
            str(check.n),
        ]
        for check in checks
    ]
    print_table(console, heads, rows)


def print_gate(report: GateReport) -> None:
    """Print the checks, how the environment differs from the baseline's, and the verdict."""
    console = open_console()
    print_checks(console, report.checks)
    for line in _remarks(report):
        console.print(line, markup=False, highlight=False)
    console.print()
    for name, words, digests, versions in gate_sides(report):
        about = "; ".join(filter(None, (words, digests, versions)))
        console.print(f"{name:9}  {about}", markup=False, highlight=False)
    console.print(gate_origin(report), markup=False, highlight=False)
    style = report.verdict.style
    console.print(f"\n{gate_outcome(report)}", markup=False, highlight=False)
    console.print(f"{escape(report.gate)}: [{style}]{report.verdict}[/]")


def _remarks(report: GateReport) -> list[str]:
    """Return what the table does not show, one line each."""
    lines = [f"{check.name}: {remark}" for check in report.checks if (remark := note(check))]
    found = (same_pixels(report), taken_over(report), same_environment(report))
    lines += [*changed_most(report), *filter(None, found)]
    return [
        *lines,
        *(f"{row.key}: {row.baseline} -> {row.here}" for row in report.fingerprint_difference),
    ]


def print_calibration(calibrated: GateCalibrated) -> None:
    """Print how often equal pipelines fail the gate, each margin, and the real gates."""
    found = calibrated.found
    low, high = found.rate_ci95
    alarms, resamples = found.false_alarms, found.resamples
    print(
        f"false alarms    {alarms} of {resamples} pairs of disjoint seed sets: "
        f"{alarms / resamples:.1%} ({low:.1%} to {high:.1%}), nominal 5%"
    )
    for row in found.metrics:
        outcome = "is usable" if row.holds else "is too tight: equal pipelines would fail it"
        print(
            f"{row.name:15} margin {row.margin:g} {outcome}; equal pipelines pass in "
            f"{row.passes:.0%} of resamples; smallest usable margin {row.smallest_margin:.3g}"
        )
        if row.power is not None:
            print(
                f"{'':15} a loss of {2 * row.margin:g} is detected in {row.power:.1%} of resamples"
            )
    for index, gate in enumerate(calibrated.real):
        rows = [c for c in gate.checks if c.verdict != Verdict.PASS or c.difference is not None]
        results = ", ".join(f"{c.name} {c.verdict} {difference(c)}".rstrip() for c in rows)
        print(f"real gate {index + 1:<5} {gate.verdict}: {results}")


def print_blindness(mutation: GateMutation) -> None:
    """Print the verdicts of the checks on each fault, and how many faults each check caught."""
    checks = [name for name in mutation.catch_rates if name != "gate"]
    rows = []
    for fault in mutation.faults:
        row = [fault.name, "caught" if fault.caught else "[red]missed[/]"]
        for name in checks:
            verdict = fault.verdicts.get(name)
            value = fault.differences.get(name)
            shown = _pill(verdict)
            row.append(shown if value is None else f"{shown} {value:+.3g}")
        rows.append(row)
    print_table(open_console(), [Head(name) for name in ("fault", "gate", *checks)], rows)
    rates = [f"{name} {rate.caught} of {rate.asked}" for name, rate in mutation.catch_rates.items()]
    print(f"\ncaught: {', '.join(rates)}")


def _pill(verdict: str | None) -> str:
    """Return a verdict's short form in its colour; nothing for ``None``."""
    if verdict is None:
        return ""
    return f"[{Verdict(verdict).style}]{Verdict(verdict).short}[/]"
