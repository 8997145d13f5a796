"""Results of the ``gate`` commands as text for the terminal."""

from __future__ import annotations

from rich.table import Table

from turbo_lab.documents.gate import GateCalibrated, GateMutation, GateReport
from turbo_lab.report.markdown import changed_most, difference, note, number, taken_over
from turbo_lab.report.text.terminal import open_console
from turbo_lab.verdict import Verdict


def print_gate(report: GateReport) -> None:
    """Print the checks, how the environment differs from the baseline's, and the verdict."""
    console, table = open_console(), Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for column in ("candidate", "baseline", "difference (95%)", "margin", "n"):
        table.add_column(column, justify="right")
    for check in report.checks:
        style = check.verdict.style
        table.add_row(
            check.name,
            f"[{style}]{check.verdict}[/]",
            number(check.value),
            number(check.baseline),
            difference(check),
            number(check.margin),
            str(check.n),
        )
    console.print(table)
    for check in report.checks:
        if remark := note(check):
            console.print(f"{check.name}: {remark}", markup=False, highlight=False)
    for text in changed_most(report):
        console.print(text, markup=False, highlight=False)
    identical = report.identical_images
    if identical is not None:
        print(f"{identical.same} of {identical.of} images have the baseline's pixels")
    if stored := taken_over(report):
        console.print(stored, highlight=False)
    for row in report.fingerprint_difference:
        text = f"{row.key}: {row.baseline} -> {row.here}"
        console.print(text, markup=False, highlight=False)
    style = report.verdict.style
    console.print(f"\n{report.gate}: [{style}]{report.verdict}[/]")


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
    console, table = open_console(), Table(box=None, pad_edge=False)
    table.add_column("fault")
    table.add_column("gate", no_wrap=True)
    checks = [name for name in mutation.catch_rates if name != "gate"]
    for name in checks:
        table.add_column(name)
    for fault in mutation.faults:
        row = [fault.name, "caught" if fault.caught else "[red]missed[/]"]
        for name in checks:
            verdict = fault.verdicts.get(name)
            value = fault.differences.get(name)
            shown = _pill(verdict)
            row.append(shown if value is None else f"{shown} {value:+.3g}")
        table.add_row(*row)
    console.print(table)
    rates = [f"{name} {rate.caught} of {rate.asked}" for name, rate in mutation.catch_rates.items()]
    print(f"\ncaught: {', '.join(rates)}")


def _pill(verdict: str | None) -> str:
    """Return a verdict's short form in its colour; nothing for ``None``."""
    if verdict is None:
        return ""
    return f"[{Verdict(verdict).style}]{Verdict(verdict).short}[/]"
