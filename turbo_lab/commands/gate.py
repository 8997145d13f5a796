"""``turbo-lab gate``: a candidate against its baseline, by a policy; and the trials of the gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab import gate
from turbo_lab.baseline import Baseline, baseline_of, read_baseline
from turbo_lab.commands.sides import compose_points, split_sides
from turbo_lab.commands.words import print_document, take_flag, take_option
from turbo_lab.compare import Row, compare_figure
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.gate import Policy
from turbo_lab.spec import as_plain

if TYPE_CHECKING:
    from turbo_lab.commands.sweep import Executed

CODES = {"error": 4, "regression": 1, "uncovered": 3, "inconclusive": 3, "pass": 0}


def main(arguments: list[str]) -> int:
    """``gate gate=NAME [candidate.KEY=...] [baseline.KEY=...]``, ``calibrate`` or ``mutate``.

    ``--json``, ``--junit FILE``, ``--markdown FILE`` and ``--html FILE`` write
    the verdict in those forms.
    """
    if arguments and arguments[0] in ("calibrate", "mutate"):
        from turbo_lab.commands import gate_trials

        name, *rest = arguments
        return {"calibrate": gate_trials.calibrate, "mutate": gate_trials.mutate}[name](rest)
    as_json = take_flag(arguments, "--json")
    files = {kind: take_option(arguments, f"--{kind}") for kind in ("junit", "markdown", "html")}
    overrides = split_sides(arguments)
    has_baseline = any(a.startswith("baseline.") for a in arguments)
    candidate_points = compose_points("gate", overrides["candidate"])
    policy = Policy.from_config(candidate_points[0].values["gate"])
    rows, about = run_checks(policy, overrides, has_baseline)
    verdict, held = gate.decide(rows)
    values = {
        "verdict": verdict,
        "gate": policy.name,
        "checks": [row_document(row) for row in held],
        **about,
    }
    _write_files(values, files)
    if as_json:
        print_document("gate", values)
    else:
        from turbo_lab.report.gate_text import print_gate

        print_gate(values)
        for kind, path in files.items():
            if path is not None:
                print(f"{kind:15} {path}")
    return CODES[verdict]


def run_checks(
    policy: Policy, overrides: Mapping[str, Sequence[str]], has_baseline: bool
) -> tuple[list[Row], dict[str, Any]]:
    """Every check of a policy, and what the document says beside them."""
    candidate = draw_side("candidate", overrides["candidate"], policy)
    baseline, missing = _baseline(policy, overrides["baseline"], has_baseline)
    if baseline is None:
        rows = [gate.failed_check(name, "uncovered", missing) for name in policy.quality]
    else:
        rows = quality_checks(policy, side_of(candidate), baseline)
    if policy.goldens is not None:
        rows.append(_goldens(policy))
    if policy.licenses:
        rows.append(gate.license_check(_licenses(candidate), policy.licenses))
    if policy.mutation is not None:
        rows.append(_mutation(policy.mutation))
    if policy.latency is not None:
        rows.append(_latency(policy, overrides, has_baseline))
    about = {
        "candidate": list(overrides["candidate"]),
        "baseline": list(overrides["baseline"]) if has_baseline else policy.name,
        "baseline_digest": None if baseline is None else baseline.content_digest,
        "fingerprint": dict(candidate.sweep.fingerprint["keys"]),
        "fingerprint_difference": _differs(candidate, baseline),
    }
    return rows, about


def _baseline(
    policy: Policy, overrides: Sequence[str], has_baseline: bool
) -> tuple[Baseline | None, str]:
    """Drawn now, or the committed one of the gate; else why there is none."""
    if has_baseline:
        return side_of(draw_side("baseline", overrides, policy)), ""
    try:
        return read_baseline(policy.name, Path.cwd() / "baselines"), ""
    except InputError as error:
        return None, str(error)


def draw_side(side: str, overrides: Sequence[str], policy: Policy) -> Executed:
    """Draw and measure one side, as a sweep of one cell; stored work is not done again."""
    from turbo_lab.commands.sweep import execute
    from turbo_lab.progress import StderrProgress

    points = compose_points("gate", [*overrides, "tracking=none"])
    if len(points) != 1:
        raise InputError(f"gate: the {side} is a grid of {len(points)} cells; one value a key")
    progress = StderrProgress()
    try:
        done = execute(points, tuple(policy.quality), None, progress)
    finally:
        progress.end()
    row = done.document["cells"][0]
    if row["status"] == "failed":
        raise InputError(f"gate: the {side} could not be drawn: {row['error']}")
    return done


def side_of(done: Executed) -> Baseline:
    """What a drawn side measured, in a baseline's form."""
    row = done.document["cells"][0]
    found = baseline_of("drawn now", done.context.store, row["record_id"])
    fresh = {figure["fingerprint"] for figure in row["metrics"].values()}
    kept = tuple(m for m in found.measurements if m.fingerprint in fresh)
    return dataclasses.replace(found, measurements=kept)


def quality_checks(policy: Policy, candidate: Baseline, baseline: Baseline) -> list[Row]:
    """One row a figure of the policy; what cannot be compared is ``uncovered``."""
    here = {m.name: m for m in candidate.measurements}
    there = {m.name: m for m in baseline.measurements}
    rows = []
    for name, rule in policy.quality.items():
        if name not in here or name not in there:
            side = "candidate" if name not in here else "baseline"
            note = f"the {side} has no {name} with values an image"
            rows.append(gate.failed_check(name, "uncovered", note))
            continue
        try:
            rows.append(
                compare_figure(here[name], there[name], candidate.keys, baseline.keys,
                               rule.margin, rule.two_sided)
            )  # fmt: skip
        except TurboLabError as error:
            rows.append(gate.failed_check(name, "uncovered", str(error)))
    return rows


def row_document(row: Row) -> dict[str, Any]:
    """A check as the ``gate`` and ``compare`` documents have it."""
    plain: dict[str, Any] = as_plain(row)
    return plain


def _goldens(policy: Policy) -> Row:
    from turbo_lab.commands.golden import judge_embed
    from turbo_lab.golden.library import open_library
    from turbo_lab.golden.thresholds import read_thresholds
    from turbo_lab.trials.goldens import check

    assert policy.goldens is not None
    try:
        library = open_library()
        names = list(policy.goldens or library.cases())
        checked = check(library, names, read_thresholds(), judge_embed())
    except TurboLabError as error:
        return gate.failed_check("goldens", "error", str(error))
    verdicts = {item.verdict.name: item.verdict.verdict for item in checked}
    return gate.golden_check(verdicts, policy.min_goldens)


def _mutation(required: float) -> Row:
    from turbo_lab.commands.golden import judge_embed
    from turbo_lab.golden.library import open_library
    from turbo_lab.golden.thresholds import read_thresholds
    from turbo_lab.trials.calibrate import load_cases
    from turbo_lab.trials.mutate import mutate

    faults, harmless = mutate(load_cases(open_library()), read_thresholds(), judge_embed())
    shown = [fault for fault in faults if fault.cases]
    alarms = [change.name for change in harmless if change.alarm]
    return gate.mutation_check(sum(f.caught for f in shown), len(shown), alarms, required)


def _latency(policy: Policy, overrides: Mapping[str, Sequence[str]], has_baseline: bool) -> Row:
    from turbo_lab.commands.bench import compare_overrides

    assert policy.latency is not None
    if not has_baseline:
        note = "needs a baseline in the same run: give baseline.KEY=VALUE"
        return gate.failed_check("latency", "uncovered", note)
    for attempt in range(policy.retries + 1):
        found = compare_overrides("gate", overrides)
        row = gate.latency_check(
            found.ratio, found.ci95, policy.latency, len(found.blocks_a_s), attempt
        )
        if row.verdict == "pass":
            break
    return row


def _licenses(done: Executed) -> dict[str, str]:
    library = done.sweep.library
    found = {card.name: card.license for card, _ in library.models.values()}
    return found | {files.name: files.license for files in library.adapters.values()}


def _differs(candidate: Executed, baseline: Baseline | None) -> list[dict[str, Any]]:
    from turbo_lab.golden.tiers import choose_tier

    if baseline is None:
        return []
    keys = candidate.sweep.fingerprint["keys"]
    differs = choose_tier(baseline.fingerprint["keys"], keys).differs
    return [{"key": key, "baseline": before, "here": now} for key, before, now in differs]


def _write_files(values: Mapping[str, Any], files: Mapping[str, str | None]) -> None:
    from turbo_lab.report.html_gate import gate_report
    from turbo_lab.report.outputs import gate_junit, gate_markdown

    writers: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "junit": gate_junit, "markdown": gate_markdown, "html": gate_report,
    }  # fmt: skip
    for kind, name in files.items():
        if name is not None:
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(writers[kind](values), encoding="utf-8")
