"""``turbo-lab compare``: a model against its baselines on the same prompts and seeds.

Three fair ways to set them side by side: each at its own recommended settings,
all at the candidate's number of steps, and the baseline at the number of steps
that takes as long as the candidate does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab.baseline import Baseline
from turbo_lab.commands.gate import row_document
from turbo_lab.commands.gate_checks import side_of
from turbo_lab.commands.sides import compose_points
from turbo_lab.commands.words import print_document, take_flag, take_key, take_option
from turbo_lab.compare import Row, compare_figure, hold_family, pareto, winners_and_losers, worst
from turbo_lab.errors import InputError
from turbo_lab.published import published_document, refuse_published
from turbo_lab.record import LatencySummary

if TYPE_CHECKING:
    from turbo_lab.commands.sweep import Executed

METRICS = ("clip_score", "r_precision")
_MOST_STEPS = 50


@dataclass(frozen=True)
class Contender:
    """One model at one setting, drawn and timed."""

    label: str
    """Such as ``nano-sdxl 25 steps``."""
    figures: Baseline
    """What was measured."""
    latency_s: LatencySummary
    """Of a call."""
    images: Mapping[str, Path]
    """The first image of each prompt."""


def main(arguments: list[str]) -> int:
    """``compare model=NAME baselines=NAME,NAME [KEY=VALUE ...] [--html FILE] [--json]``.

    ``published=on`` adds what papers report, in tables of their own. The exit
    code is 0.
    """
    html = take_option(arguments, "--html")
    as_json = take_flag(arguments, "--json")
    with_published = _is_on(take_key(arguments, "published"))
    named = take_key(arguments, "baselines")
    if not named:
        raise InputError("compare: name the baselines, as in compare baselines=nano-sdxl,nano-lcm")
    refuse_published("compare", *arguments, *named.split(","))
    candidate = draw(arguments)
    rows, contenders = [], {candidate.label: candidate}
    for model in named.split(","):
        for way, baseline in _ways(candidate, arguments, model):
            contenders[baseline.label] = baseline
            rows += _rows(candidate, baseline, way)
    held = hold_family(rows)
    values = {
        "verdict": worst([row.verdict for row in held]),
        "candidate": candidate.label,
        "rows": [row_document(row) for row in held],
        "contenders": [_contender(item) for item in contenders.values()],
        "pareto": _pareto(list(contenders.values())),
        "prompts": _prompts(candidate, contenders),
    }
    if with_published:
        values["published"] = published_document()
    if html is not None:
        _write_page(Path(html), values, contenders)
    if as_json:
        print_document("compare", values)
    else:
        from turbo_lab.report.compare_text import print_compare

        print_compare(values)
        if html is not None:
            print(f"report          {html}")
    return 0


def _is_on(value: str | None) -> bool:
    if value not in (None, "on", "off"):
        raise InputError(f"published={value}: must be on or off")
    return value == "on"


def draw(overrides: Sequence[str]) -> Contender:
    """Draw, measure and time one cell; what the store holds is not done again."""
    from turbo_lab.commands.sweep import execute
    from turbo_lab.progress import StderrProgress

    points = compose_points("compare", [*overrides, "tracking=none"])
    if len(points) != 1:
        raise InputError(f"compare: {len(points)} cells; give one value a key, and one model")
    progress = StderrProgress()
    try:
        done = execute(points, METRICS, "short", progress)
    finally:
        progress.end()
    row = done.document["cells"][0]
    if row["status"] == "failed" or row["latency_s"] is None:
        raise InputError(f"compare: {row['parameters']['model']}: {row['error'] or 'not timed'}")
    parameters = row["parameters"]
    label = f"{parameters['model']} {parameters['num_inference_steps']} steps"
    images = {entry["prompt"]: Path(entry["path"]) for entry in reversed(row["images"])}
    return Contender(label, side_of(done), _latency(done), images)


def _ways(
    candidate: Contender, arguments: Sequence[str], model: str
) -> list[tuple[str, Contender]]:
    """The baseline's settings, each once: own, equal steps, equal latency."""
    free = ("model=", "num_inference_steps=", "guidance_scale=", "lora=", "scheduler=")
    common = [a for a in arguments if not a.startswith(free)]
    own = draw([*common, f"model={model}"])
    steps = int(candidate.figures.parameters["num_inference_steps"])
    equal = draw([*common, f"model={model}", f"num_inference_steps={steps}"])
    ways = [("own settings", own), ("equal steps", equal)]
    wanted = _steps_of_equal_latency(candidate, own, equal)
    if wanted is not None:
        ways.append(
            ("equal latency", draw([*common, f"model={model}", f"num_inference_steps={wanted}"]))
        )
    distinct: dict[str, tuple[str, Contender]] = {}
    for way, contender in ways:
        distinct.setdefault(contender.label, (way, contender))
    return list(distinct.values())


def _steps_of_equal_latency(
    candidate: Contender, first: Contender, second: Contender
) -> int | None:
    """By a line through two measured points; ``None`` where they are one point."""
    a, b = (int(c.figures.parameters["num_inference_steps"]) for c in (first, second))
    if a == b:
        return None
    a_step = (first.latency_s.p50 - second.latency_s.p50) / (a - b)
    if a_step <= 0:
        return None
    steps = b + (candidate.latency_s.p50 - second.latency_s.p50) / a_step
    return max(1, min(_MOST_STEPS, round(steps)))


def _rows(candidate: Contender, baseline: Contender, way: str) -> list[Row]:
    """A margin of zero: ``pass`` is at least as good, ``regression`` is worse."""
    from dataclasses import replace

    there = {m.name: m for m in baseline.figures.measurements}
    return [
        replace(
            compare_figure(measured, there[measured.name], candidate.figures.keys,
                           baseline.figures.keys, 0.0),
            name=f"{measured.name} / {baseline.label} ({way})",
        )
        for measured in candidate.figures.measurements
        if measured.name in there
    ]  # fmt: skip


def _latency(done: Executed) -> LatencySummary:
    from turbo_lab.results import latest_timing

    record = next(iter(done.outcome.records.values()))
    timing = latest_timing(done.context.store, record)
    assert timing is not None
    return timing.latency_s


def _contender(item: Contender) -> dict[str, Any]:
    figures = {m.name: {"value": m.value, "ci95": m.ci95, "n": m.n}
               for m in item.figures.measurements}  # fmt: skip
    latency = {"p50": item.latency_s.p50, "ci95": item.latency_s.ci95, "n": item.latency_s.n}
    return {"label": item.label, "metrics": figures, "latency_s": latency}


def _pareto(contenders: Sequence[Contender]) -> list[str]:
    """Of CLIP score against latency, by their intervals."""
    points = {}
    for item in contenders:
        score = next(m for m in item.figures.measurements if m.name == METRICS[0])
        if score.ci95 is not None and item.latency_s.ci95 is not None:
            points[item.label] = (score.ci95, item.latency_s.ci95)
    return pareto(points)


def _write_page(path: Path, values: Mapping[str, Any], contenders: Mapping[str, Contender]) -> None:
    """One self-contained HTML file, with the images of the prompts that it names."""
    from turbo_lab.report.html_compare import compare_report
    from turbo_lab.report.pictures import read_pictures

    named = {
        prompt
        for found in values["prompts"].values()
        for pairs in found.values()
        for prompt, _ in pairs
    }
    shown = {
        label: {prompt: image for prompt, image in item.images.items() if prompt in named}
        for label, item in contenders.items()
    }
    read = read_pictures([path for images in shown.values() for path in images.values()])
    pictures = {
        label: {prompt: read[str(image)] for prompt, image in images.items() if str(image) in read}
        for label, images in shown.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(compare_report(values, pictures), encoding="utf-8")


def _prompts(candidate: Contender, contenders: dict[str, Contender]) -> dict[str, Any]:
    """Against each baseline: the prompts where the candidate gains and loses most."""
    found = {}
    score = next(m for m in candidate.figures.measurements if m.name == METRICS[0])
    for label, other in contenders.items():
        if label != candidate.label:
            there = next(m for m in other.figures.measurements if m.name == METRICS[0])
            won, lost = winners_and_losers(score, there, candidate.figures.keys, other.figures.keys)
            found[label] = {"gains": won, "losses": lost}
    return found
