"""Sentences that the terminal, the pages and Markdown share, so that they say the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from turbo_lab import __version__
from turbo_lab.analysis.digits import significant
from turbo_lab.documents.compare import CompareReport, FidelityMetric, PromptExtremes
from turbo_lab.documents.gate import GateReport, PromptChange
from turbo_lab.documents.golden import CheckedCase, StageDifference
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.documents.timing import BenchCell, CellTiming
from turbo_lab.progress import duration
from turbo_lab.report.columns import METHODS, short_axis
from turbo_lab.verdict import WORST_FIRST, Verdict

OUTCOMES = {
    Verdict.PASS: "at least as good",
    Verdict.REGRESSION: "worse",
    Verdict.INCONCLUSIVE: "undecided",
    Verdict.UNCOVERED: "uncovered",
    Verdict.ERROR: "error",
}
"""Verdicts of a comparison, whose margin is zero, in words."""
ON_FRONT = "on the Pareto front of clip_score and latency, as far as the 95% intervals can tell"
"""Meaning of the star in the list of contenders."""
DIFFERENCES = (
    "Images are paired by prompt and seed; a difference is candidate minus baseline. Undecided: "
    "this number of prompts is not enough to tell. Detectable: the smallest difference that this "
    "number of prompts shows with 80% power."
)
"""Explanation of the differences of a comparison."""
# Names of source images in a sentence.
_NAMED_SOURCES = 6
# Versions that a reader of a gate looks for first.
_VERSIONS = ("torch", "diffusers", "transformers", "peft", "cuda")
_GATE = {
    Verdict.PASS: "Every check passes.",
    Verdict.REGRESSION: "At least one check found a regression.",
    Verdict.INCONCLUSIVE: "There is not enough evidence to decide.",
    Verdict.UNCOVERED: "At least one check has nothing to compare with.",
    Verdict.ERROR: "At least one check could not be run.",
}

# A shorter part of a sweep is not named; its time is in the rest.
_SHORTEST_S = 0.05


def time_taken(sweep: SweepResult) -> str:
    """Return how long a sweep took, and the parts that add up to it."""
    parts = {
        "loading": sweep.load_s,
        "drawing": sweep.wall_s,
        "timing": sweep.timing_s,
        "metrics": sweep.metrics_s,
        "tracking": sweep.tracking_s,
    }
    known = {name: seconds for name, seconds in parts.items() if seconds >= _SHORTEST_S}
    total_s = sum(parts.values()) if sweep.total_s is None else sweep.total_s
    rest_s = total_s - sum(known.values())
    if rest_s >= _SHORTEST_S:
        known["other"] = rest_s
    shown = ", ".join(f"{duration(seconds)} {name}" for name, seconds in known.items())
    return f"took {duration(total_s)}: {shown}" if len(known) > 1 else f"took {duration(total_s)}"


def per_call(sizes: Iterable[int]) -> str:
    """Return what a latency is the time of: ``per call of 16 images``."""
    counts = sorted(set(sizes))
    if not counts:
        return "per call"
    *first, last = map(str, counts)
    shown = f"{', '.join(first)} or {last}" if first else last
    return f"per call of {shown} {'image' if counts == [1] else 'images'}"


def latency_note(cells: Sequence[CellResult | BenchCell]) -> str | None:
    """Return what the latencies of a table are medians of; ``None`` if nothing was timed."""
    sizes = [cell.timing.batch_size for cell in cells if cell.timing is not None]
    calls = [cell.latency_s.n for cell in cells if cell.latency_s is not None]
    return _medians(calls, sizes) if calls else None


def contender_sources(report: CompareReport) -> str | None:
    """Return the source images that all contenders begin from; ``None`` for text to image."""
    found = report.sources
    if found is None:
        return None
    names = list(found.names.values())
    shown = ", ".join(names[:_NAMED_SOURCES])
    more = f" and {len(names) - _NAMED_SOURCES} more" if len(names) > _NAMED_SOURCES else ""
    return f"all begin from {found.image} at strength {found.strength:g}: {shown}{more}"


def contender_latencies(report: CompareReport) -> str:
    """Return what the latencies of a comparison are medians of."""
    calls = [item.latency_s for item in report.contenders]
    sizes = [call.images_per_call for call in calls if call.images_per_call is not None]
    return _medians([call.n for call in calls], sizes)


def _medians(calls: Sequence[int], sizes: Sequence[int]) -> str:
    low, high = min(calls), max(calls)
    shown = str(low) if low == high else f"{low} to {high}"
    return f"p50 ms: median of {shown} calls, {per_call(sizes)}"


def _has_one_candidate(report: CompareReport) -> bool:
    """Return whether one candidate is compared with baselines, not several with one baseline."""
    return report.contenders[0].label == report.candidate


def compare_title(report: CompareReport) -> str:
    """Return who is compared with whom."""
    labels = [one.label for one in report.contenders]
    if _has_one_candidate(report):
        others = ", ".join(label for label in labels if label != report.candidate)
        return f"{report.candidate} against {others}"
    candidates = [label for label in labels if label != report.reference]
    short = (label.removeprefix(f"{report.reference} ") for label in candidates)
    return f"{', '.join(short)} against {report.reference}"


def differences_title(report: CompareReport) -> str:
    """Return the title of the paired differences, whose rows name the side that varies."""
    if _has_one_candidate(report):
        return f"{report.candidate} against"
    return f"against {report.reference}"


def prompts_title(report: CompareReport, label: str) -> str:
    """Return who gains or loses on prompts, and against whom; ``label``: the side that varies."""
    if _has_one_candidate(report):
        return f"against {label}, {report.candidate}"
    return f"against {report.reference}, {label}"


def prompt_sides(report: CompareReport, label: str) -> tuple[str, str]:
    """Return the labels of candidate and baseline; ``label``: the side that varies."""
    is_one = _has_one_candidate(report)
    return (report.candidate, label) if is_one else (label, report.reference)


def same_images(report: CompareReport, label: str) -> str:
    """Return the title of the distances between two sides; ``label``: the side that varies."""
    if _has_one_candidate(report):
        return f"same prompts and seeds, against {label}"
    return f"same prompts and seeds, {label}"


def distance_name(row: FidelityMetric) -> str:
    """Return the name of a distance with its unit."""
    return f"{row.name}, {row.unit}" if row.unit else row.name


def mean_text(row: FidelityMetric) -> str:
    """Return the mean of a distance with its interval."""
    if row.mean is None:
        return "unscored"
    spread = (
        "" if row.ci95 is None else f" ({significant(row.ci95[0])} to {significant(row.ci95[1])})"
    )
    return f"{significant(row.mean)}{spread}"


def prompt_changes(found: PromptExtremes) -> list[tuple[str, tuple[PromptChange, ...]]]:
    """Return the prompts on which a candidate gains and loses most, each list with its title.

    A list is left out if the candidate gains, or loses, on none of its prompts.
    """
    gains = tuple(change for change in found.gains if change[1] > 0)
    losses = tuple(change for change in found.losses if change[1] < 0)
    titled = [("gains most on", gains), ("loses most on", losses)]
    return [(title, changes) for title, changes in titled if changes]


def listed_prompts(pairs: Sequence[PromptChange]) -> str:
    """Return prompts with their differences, in one line."""
    return "; ".join(f"{prompt} ({value:+.2f})" for prompt, value in pairs)


def gate_outcome(report: GateReport) -> str:
    """Return what the verdict of a gate means, and which checks did not pass, worst first."""
    failing = sorted(
        (check for check in report.checks if check.verdict != Verdict.PASS),
        key=lambda check: WORST_FIRST.index(check.verdict),
    )
    named = "; ".join(f"{check.name}: {check.verdict}" for check in failing)
    return f"{_GATE[report.verdict]} {named}." if named else _GATE[report.verdict]


def gate_origin(report: GateReport) -> str:
    """Return when a gate ran, with which code, and where in git."""
    git = report.git
    is_changed = git is not None and git.dirty is not False
    commit = "" if git is None else f", commit {git.commit[:12]}{', changed' if is_changed else ''}"
    when = report.date.replace("T", " ").replace("+00:00", " UTC")
    return f"{when + ', ' if when else ''}turbo-lab {__version__}{commit}"


def gate_sides(report: GateReport) -> list[tuple[str, str, str, str]]:
    """Return each side's name, settings, digests and versions."""
    baseline = report.baseline if isinstance(report.baseline, str) else " ".join(report.baseline)
    settings = {"candidate": " ".join(report.candidate) or "(the defaults)", "baseline": baseline}
    rows = []
    for name, words in settings.items():
        side = report.sides.get(name)
        digests = {} if side is None else {**side.weights, "results": side.digest}
        versions = {} if side is None else side.fingerprint
        rows.append(
            (
                name,
                words,
                ", ".join(f"{of} {digest[:12]}" for of, digest in digests.items()),
                ", ".join(f"{key} {versions[key]}" for key in _VERSIONS if key in versions),
            )
        )
    return rows


def same_environment(report: GateReport) -> str | None:
    """Return that both sides have the same environment; ``None`` if not, or if it is unknown."""
    is_known = "baseline" in report.sides and not report.fingerprint_difference
    return "The environment is the same as the baseline's." if is_known else None


def same_pixels(report: GateReport) -> str | None:
    """Return how many images have the baseline's pixels; ``None`` if there is no baseline."""
    found = report.identical_images
    return (
        None if found is None else f"{found.same} of {found.of} images have the baseline's pixels"
    )


def bench_notes(cells: Sequence[BenchCell]) -> list[str]:
    """Return the failures, how energy was measured, and the details that some cells have."""
    named = [(" ".join(f"{short_axis(k)}={v}" for k, v in c.axes.items()), c) for c in cells]
    lines = [f"{name or 'the cell'} failed: {cell.error}" for name, cell in named if cell.error]
    timed = [(name, cell.timing) for name, cell in named if cell.timing is not None]
    if metered := [timing.energy for _, timing in timed if timing.energy is not None]:
        ways = " and ".join(dict.fromkeys(METHODS[one.method] for one in metered))
        lines.append(f"J/image: by {ways}, before and after each block of calls")
    for name, timing in timed:
        if len(steps := timing.unet_steps_s or ()) > 1:
            each = ", ".join(significant(value * 1e3, 3) for value in steps)
            lines.append(f"UNet time per step, ms ({name or 'one cell'}): {each}")
        if parts := _preparation(timing):
            lines.append(f"{' and '.join(parts)} ({name or 'one cell'})")
    return lines


def _preparation(timing: CellTiming) -> list[str]:
    """Return what compiling and capturing took."""
    parts = []
    if timing.compile_s is not None:
        parts.append(f"compiling took {duration(timing.compile_s)} of the first call")
    if timing.graph_pool_bytes is not None:
        parts.append(f"CUDA graphs take {mebibytes(timing.graph_pool_bytes)}")
    return parts


def mebibytes(num_bytes: float) -> str:
    """Return a size in MiB, or in GiB if it is large."""
    return f"{num_bytes / 2**20:.3g} MiB" if num_bytes < 2**30 else f"{num_bytes / 2**30:.3g} GiB"


def case_lines(case: CheckedCase) -> list[str]:
    """Return the outcome of a golden case, its first difference, and the explanation if any."""
    first = case.first_divergence
    lines = [case.message]
    lines += [] if first is None else [f"first difference at {first.stage}{_stage_size(first)}"]
    return [*lines, case.explanation] if case.explanation else lines


def _stage_size(stage: StageDifference) -> str:
    if stage.max_abs is not None:
        return f", by up to {stage.max_abs:.3g} (relative L2 {stage.relative_l2:.2g})"
    if stage.relative_l2 is not None:
        return f" (relative L2 about {stage.relative_l2:.2g})"
    return ", which has a different shape or is missing"
