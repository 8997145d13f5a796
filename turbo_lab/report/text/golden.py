"""Results of the ``golden`` commands as text for the terminal.

Owns the commands that are suggested after a failing check.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from turbo_lab.documents.golden import (
    CheckedCase,
    GoldenCheck,
    GoldenKey,
    GoldenMutation,
    Invariance,
    ListedCase,
    Tier,
)
from turbo_lab.golden.library import GoldenLibrary, packaged_cases_hidden_by
from turbo_lab.report.sentences import case_lines
from turbo_lab.report.text.layout import Head, number_heads, print_table
from turbo_lab.report.text.terminal import open_console
from turbo_lab.verdict import Verdict

if TYPE_CHECKING:
    from turbo_lab.trials.golden_calibration import Calibration

_DISTANCES: Mapping[tuple[Tier, str], str] = {
    ("T1", "latents_max_abs"): "T1\nlatents\nmax",
    ("T1", "latents_relative_l2"): "T1\nlatents\nrel.",
    ("T1", "vae_relative_l2"): "T1\nvae\nrel.",
    ("T1", "window_density"): "T1\nwindow",
    ("T2", "embedding_distance"): "T2\nembed",
    ("T2", "tile_ssim_loss"): "T2\nssim",
}
"""Heading of each calibrated distance, by tier and name."""


def print_check(check: GoldenCheck, is_packaged: bool = False) -> None:
    """Print the cases, differences of the environment, and the commands to run next.

    ``is_packaged``: the goldens ship with turbo-lab, so that they cannot be accepted again.
    """
    console = open_console()
    rows = [
        [row.name, f"[{row.verdict.style}]{row.verdict}[/]", row.tier or "-", _lines(row)]
        for row in check.cases
    ]
    heads = [Head("case"), Head("verdict"), Head("tier"), Head("reason", wraps=True)]
    print_table(console, heads, rows)
    counts = [row.verdict for row in check.cases]
    summary = ", ".join(f"{counts.count(v)} {v}" for v in Verdict if v in counts)
    console.print(f"\n{summary or 'no cases'}")
    for line in _environment(check.cases):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in _next_commands(check.cases, is_packaged):
        console.print(line, highlight=False, soft_wrap=True)


def print_left_out(library: GoldenLibrary) -> None:
    """Say on standard error that a library of the user's own hides the packaged goldens."""
    if hidden := len(packaged_cases_hidden_by(library)):
        print(
            f"checking the goldens of {library.root}; the {hidden} packaged ones are checked in a "
            "folder without goldens/, and by turbo-lab gate in any",
            file=sys.stderr,
        )


def _lines(row: CheckedCase) -> str:
    return "\n".join(escape(line) for line in case_lines(row))


def _environment(rows: Sequence[CheckedCase]) -> list[str]:
    """Return one line per difference of the environment, with the cases that it applies to."""
    by_difference: dict[tuple[GoldenKey, ...], list[str]] = {}
    for row in rows:
        if row.fingerprint_difference:
            by_difference.setdefault(row.fingerprint_difference, []).append(row.name)
    lines = []
    for keys, names in by_difference.items():
        cases = "all cases" if len(names) == len(rows) else ", ".join(names)
        pairs = "; ".join(f"{one.key}: {one.golden} -> {one.here}" for one in keys)
        lines.append(f"environment differs from the golden's ({cases}): {pairs}")
    return lines


def _next_commands(rows: Sequence[CheckedCase], is_packaged: bool) -> list[str]:
    by_verdict: dict[str, list[str]] = {}
    for row in rows:
        by_verdict.setdefault(row.verdict, []).append(row.name)
    lines = []
    if failing := by_verdict.get(Verdict.REGRESSION):
        names = " ".join(failing)
        lines.append(f"find the cause:        turbo-lab golden check {names} --explain")
        if is_packaged:
            lines.append("record your own:       turbo-lab golden record")
        else:
            lines.append(f"accept the new result: turbo-lab golden accept {names} --reason TEXT")
    if not all(row.has_golden for row in rows) or not rows:
        lines.append("record the goldens:    turbo-lab golden record")
    return lines


def print_list(rows: Sequence[ListedCase]) -> None:
    """Print the cases and their accepted outcomes."""
    heads = [Head(name) for name in ("case", "outcome", "accepted", "by")]
    shown = [
        [
            row.name,
            (row.outcome or "no golden")[:12],
            (row.accepted_at or "-")[:10],
            escape(row.accepted_by or "-"),
            escape(row.reason or "-"),
        ]
        for row in rows
    ]
    print_table(open_console(), [*heads, Head("reason", wraps=True)], shown)


def print_calibration(found: Calibration) -> None:
    """Print the largest distance per harmless change, and the thresholds derived from them."""
    console, rows = open_console(), []
    for change, worst in found.by_change.items():
        distances = [f"{worst[f'{tier} {name}']:.1g}" for tier, name in _DISTANCES]
        rows.append([change, f"{found.exact[change]}/{found.cases}", *distances])
    thresholds = [found.thresholds[tier][name].threshold for tier, name in _DISTANCES]
    rows.append(["threshold", "", *(f"[bold]{value:.1g}[/]" for value in thresholds)])
    heads = [Head("harmless change"), *number_heads("identical", *_DISTANCES.values())]
    print_table(console, heads, rows)
    for line in found.loose:
        console.print(f"loose: {line}; tighten with turbo-lab golden calibrate --write")


def print_mutation(mutation: GoldenMutation) -> None:
    """Print the faults with the tiers that caught them, then the harmless changes."""
    console, rows = open_console(), []
    words = {True: "[green]caught[/]", False: "[red]missed[/]", None: "-"}
    for fault in mutation.faults:
        first = fault.first_divergence
        tiers = [words[fault.by_tier[tier]] for tier in ("T0", "T1", "T2")]
        for place, tier in ((1, "T1"), (2, "T2")):
            if fault.by_tier[tier] is False:
                # If no bit changed, no distances were computed.
                tiers[place] += f" ({fault.worst_by_tier.get(tier, 0.0):.2g})"
        stage = "-" if first is None else first.stage
        rows.append([fault.name, *tiers, stage])
    print_table(console, [Head(n) for n in ("fault", "T0", "T1", "T2", "first difference")], rows)
    console.print()
    alarms = {True: "[red]false alarm[/]", False: "[green]none[/]"}
    changes = [[change.name, change.tier, alarms[change.alarm]] for change in mutation.harmless]
    print_table(console, [Head(name) for name in ("harmless change", "tier", "alarm")], changes)
    console.print(
        "\nmissed (x): largest distance as a fraction of its threshold; harmless changes reach 0.25"
    )
    for fault in mutation.faults:
        if fault.above_noise:
            where = ", ".join(fault.above_noise)
            console.print(
                f"{fault.name}: missed at {where}, although it exceeds every harmless change"
            )
    if any(fault.above_noise for fault in mutation.faults):
        console.print(
            "thresholds measured on these cases may be tighter: turbo-lab golden calibrate --write"
        )
    console.print(f"score: T0 catches {mutation.score:.0%} of the faults")


def print_invariance(rows: Sequence[Invariance]) -> None:
    """Print each change that must not matter, and whether it did."""
    shown = []
    for row in rows:
        text = {True: "[green]yes[/]", False: "[red]no[/]", None: "-"}[row.holds]
        tolerance = "bit for bit" if row.tier == "T0" else "T1"
        levels = "-" if row.max_abs is None else str(row.max_abs)
        shown.append([row.name, text, tolerance, str(row.cases), levels, escape(row.note)])
    heads = [Head(n) for n in ("change", "invariant", "tolerance", "cases", "max diff of 255")]
    print_table(open_console(), [*heads, Head("compared", wraps=True)], shown)
