"""Results of ``upgrade`` as text for the terminal."""

from __future__ import annotations

from rich.markup import escape

from turbo_lab.documents.upgrade import UpgradeReport
from turbo_lab.report.markdown import note
from turbo_lab.report.text.gate import print_checks
from turbo_lab.report.text.layout import Head, print_table
from turbo_lab.report.text.terminal import open_console
from turbo_lab.report.upgrade_sentences import (
    changed_stages,
    latency_of_upgrade,
    origin_of_package,
    outcome_of_upgrade,
)


def print_upgrade(report: UpgradeReport) -> None:
    """Print the packages, the checks, what changed by stage, and the verdict."""
    console = open_console()
    heads = [*map(Head, ("package", "here", "candidate")), Head("origin", wraps=True)]
    rows = [
        [escape(one.name), one.here or "-", escape(one.candidate), escape(origin_of_package(one))]
        for one in report.packages
    ]
    print_table(console, heads, rows)
    console.print()
    print_checks(console, report.checks, baseline="here")
    lines = [f"{check.name}: {remark}" for check in report.checks if (remark := note(check))]
    if report.identical_images is not None:
        images = report.identical_images
        lines.append(f"{images.same} of {images.of} images have the same pixels")
    lines += [*changed_stages(report.stages), *latency_of_upgrade(report), *report.notes]
    for line in lines:
        console.print(line, markup=False, highlight=False)
    console.print(f"\n{outcome_of_upgrade(report)}", markup=False, highlight=False)
    asked = escape(" ".join(report.requirements))
    console.print(f"{asked}: [{report.verdict.style}]{report.verdict}[/]", highlight=False)
