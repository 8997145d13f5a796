"""``turbo-lab compare``: a model against its baselines on the same prompts and seeds.

Three fair ways to set them side by side: each at its own recommended settings,
all at the candidate's number of steps, and the baseline at the number of steps
that takes as long as the candidate does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from turbo_lab.analysis.pareto import pareto
from turbo_lab.cli.arguments import take_flag, take_key, take_option
from turbo_lab.cli.gate import row_document
from turbo_lab.cli.options import GridCommand, html_option, json_option, words_argument
from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import Row, compare_figure, hold_family, winners_and_losers
from turbo_lab.compare.published import published_document, refuse_published
from turbo_lab.compare.sides import SIDES, compose_side, split_sides
from turbo_lab.documents.output import check_writable, print_document, write_text
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.gate.run_checks import side_of
from turbo_lab.planning.resolved_sweep import measuring
from turbo_lab.request.recipe import as_plain
from turbo_lab.store.record import CellStatus, Timing
from turbo_lab.verdict import worst
from turbo_lab.workflows.results import latest_timing

METRICS = ("clip_score", "r_precision")
_MOST_STEPS = 50
# Calls whose medians are so near, relatively, are called equally long.
_EQUAL_LATENCY = 0.1
# Of the candidate alone where baselines are other models: each of those has its own.
_OWN_KEYS = ("model", "num_inference_steps", "guidance_scale", "lora", "scheduler")


@dataclass(frozen=True)
class Contender:
    """One model at one setting, drawn and timed."""

    label: str
    """Such as ``nano-sdxl 25 steps``, and what else was asked of this side alone."""
    figures: Baseline
    """What was measured."""
    timing: Timing
    """Of a call."""
    images: Mapping[str, Path]
    """The first image of each prompt."""

    @property
    def steps(self) -> int:
        """Denoising steps."""
        return int(self.figures.parameters["num_inference_steps"])


def main(arguments: list[str]) -> int:
    """``compare model=NAME baselines=NAME,NAME [KEY=VALUE ...] [--html FILE] [--json]``.

    Or two variants of one model: ``compare candidate.dtype=bfloat16``; keys behind
    ``candidate.`` and ``baseline.`` belong to one side. ``published=on`` adds what
    papers report, in tables of their own. The exit code is 0.
    """
    html = take_option(arguments, "--html")
    as_json = take_flag(arguments, "--json")
    with_published = _is_on(take_key(arguments, "published"))
    named = take_key(arguments, "baselines")
    sided = [a for a in arguments if a.startswith(("candidate.", "baseline."))]
    if not named and not sided:
        raise InputError(
            "compare: name the baselines, as in compare baselines=nano-sdxl,nano-lcm, or what "
            "differs, as in compare candidate.dtype=bfloat16"
        )
    refuse_published("compare", *arguments, *(named or "").split(","))
    if html is not None:
        check_writable(Path(html), "--html")
    candidate, groups = _drawn(arguments, [] if named is None else named.split(","))
    rows, contenders = [], {candidate.label: candidate}
    for way, baseline in groups:
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
        "fidelity": _fidelity(candidate, contenders),
    }
    if with_published:
        values["published"] = published_document()
    if html is not None:
        _write_page(Path(html), values, contenders)
    if as_json:
        print_document("compare", values)
    else:
        from turbo_lab.report.text.compare import print_compare

        print_compare(values)
        if html is not None:
            print(f"report          {html}")
    return 0


def _fidelity(
    candidate: Contender, contenders: Mapping[str, Contender]
) -> dict[str, list[dict[str, Any]]]:
    """How far the candidate's images are from each variant's of the same model and seeds.

    The first image of each prompt. Another model is meant to draw other pictures.
    """
    import numpy as np

    from turbo_lab import images
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.metrics.paired import paired_fidelity

    embed, found = judge_embed(), {}
    mine = candidate.figures.parameters
    for label, other in contenders.items():
        theirs = other.figures.parameters
        is_variant = label != candidate.label and theirs["model"] == mine["model"]
        if not is_variant or theirs["resolution"] != mine["resolution"]:
            continue
        prompts = [prompt for prompt in candidate.images if prompt in other.images]
        first, second = (
            np.stack([images.read_png(side.images[prompt])[0] for prompt in prompts])
            for side in (candidate, other)
        )
        rows = paired_fidelity(first, second, prompts, (embed(first), embed(second)))
        found[label] = [
            {k: v for k, v in as_plain(row).items() if k != "per_image"} for row in rows
        ]
    return found


def _is_on(value: str | None) -> bool:
    if value not in (None, "on", "off"):
        raise InputError(f"published={value}: must be on or off")
    return value == "on"


def _drawn(
    arguments: Sequence[str], models: Sequence[str]
) -> tuple[Contender, list[tuple[str, Contender]]]:
    """Draw the candidate and every baseline, each with the way the two are compared."""
    sides = split_sides(arguments)
    own = {side: _side_words(arguments, side) for side in SIDES}
    common = [a for a in arguments if not a.startswith(tuple(f"{side}." for side in SIDES))]
    if models:
        taken = tuple(f"{key}=" for key in _OWN_KEYS)
        own["candidate"] = [*(a for a in common if a.startswith(taken)), *own["candidate"]]
        common = [a for a in common if not a.startswith(taken)]
        wanted = [[*common, f"model={model}", *own["baseline"]] for model in models]
    else:
        wanted = [sides["baseline"]]
    candidate = draw("candidate", sides["candidate"], own["candidate"])
    found: dict[str, tuple[str, Contender]] = {}
    for words in wanted:
        for way, baseline in _ways(candidate, words, own["baseline"]):
            found.setdefault(baseline.figures.record_id, (way, baseline))
    if not found:
        raise InputError(
            f"compare: the baseline is the candidate itself ({candidate.label}); name what "
            "differs, as in candidate.dtype=bfloat16"
        )
    return candidate, list(found.values())


def _side_words(arguments: Sequence[str], side: str) -> list[str]:
    """What belongs to one side alone."""
    return [a.removeprefix(f"{side}.") for a in arguments if a.startswith(f"{side}.")]


def draw(side: str, overrides: Sequence[str], own: Sequence[str] = ()) -> Contender:
    """Draw, measure and time one cell; what the store holds is not done again.

    ``own``: what is asked of this side alone, for its label. Raises
    :class:`JudgementError` where it cannot be drawn, timed or scored.
    """
    from turbo_lab.progress import StderrProgress
    from turbo_lab.workflows.sweep import execute

    sweep = compose_side("compare", side, [*overrides, "tracking=none"])
    progress = StderrProgress()
    try:
        done = execute(measuring(sweep, METRICS, "short"), progress)
    finally:
        progress.end()
    row = done.document["cells"][0]
    label = _label(row["parameters"], own)
    if row["status"] == CellStatus.FAILED:
        raise JudgementError(f"compare: {label}: {row['error']}")
    timing = latest_timing(done.context.store, next(iter(done.outcome.records.values())))
    if timing is None:
        raise JudgementError(f"compare: {label}: could not be timed")
    figures = side_of(done)
    lacking = {name: row["metrics"][name]["note"] for name in METRICS
               if name not in {m.name for m in figures.measurements}}  # fmt: skip
    if lacking:
        told = "; ".join(f"{name}: {note}" for name, note in lacking.items())
        raise JudgementError(f"compare: {label}: has no values an image ({told})")
    images = {entry["prompt"]: Path(entry["path"]) for entry in reversed(row["images"])}
    return Contender(label, figures, timing, images)


def _label(parameters: Mapping[str, Any], own: Sequence[str]) -> str:
    steps = parameters["num_inference_steps"]
    told = [word for word in own if word.partition("=")[0] not in ("model", "num_inference_steps")]
    return " ".join([parameters["model"], str(steps), "step" if steps == 1 else "steps", *told])


def _ways(
    candidate: Contender, words: Sequence[str], told: Sequence[str]
) -> list[tuple[str, Contender]]:
    """A baseline's settings, each once: its own, equal steps, equal latency."""

    def at(steps: int) -> Contender:
        kept = [word for word in words if not word.startswith("num_inference_steps=")]
        return draw("baseline", [*kept, f"num_inference_steps={steps}"], told)

    own = draw("baseline", words, told)
    equal = own if own.steps == candidate.steps else at(candidate.steps)
    drawn = [("own settings", own), ("equal steps", equal)]
    wanted = _steps_of_equal_latency(candidate, own, equal)
    if wanted is not None:
        nearest = at(max(1, min(_MOST_STEPS, wanted)))
        ratio = nearest.timing.latency_s.p50 / candidate.timing.latency_s.p50
        is_equal = abs(ratio - 1) <= _EQUAL_LATENCY
        drawn.append(("equal latency" if is_equal else "nearest latency", nearest))
    ways: dict[str, tuple[list[str], Contender]] = {}
    for way, contender in drawn:
        ways.setdefault(contender.figures.record_id, ([], contender))[0].append(way)
    ways.pop(candidate.figures.record_id, None)
    return [(", ".join(names), contender) for names, contender in ways.values()]


def _steps_of_equal_latency(candidate: Contender, own: Contender, equal: Contender) -> int | None:
    """By a line through both measured points; where they are one, by its UNet's share.

    0 or less: the baseline takes longer even at one step. ``None``: no line rises.
    """
    if own.steps != equal.steps:
        a_step = (own.timing.latency_s.p50 - equal.timing.latency_s.p50) / (own.steps - equal.steps)
    else:
        a_step = (own.timing.stages_s or {}).get("unet", 0.0) / own.steps
    if a_step <= 0:
        return None
    return round(
        equal.steps + (candidate.timing.latency_s.p50 - equal.timing.latency_s.p50) / a_step
    )


def _rows(candidate: Contender, baseline: Contender, way: str) -> list[Row]:
    """A margin of zero: ``pass`` is at least as good, ``regression`` is worse."""
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


def _contender(item: Contender) -> dict[str, Any]:
    figures = {m.name: {"value": m.value, "ci95": m.ci95, "n": m.n}
               for m in item.figures.measurements}  # fmt: skip
    call = item.timing.latency_s
    latency = {"p50": call.p50, "ci95": call.ci95, "n": call.n}
    return {"label": item.label, "metrics": figures, "latency_s": latency}


def _pareto(contenders: Sequence[Contender]) -> list[str]:
    """Of CLIP score against latency, by their intervals."""
    points = {}
    for item in contenders:
        score = next(m for m in item.figures.measurements if m.name == METRICS[0])
        latency = item.timing.latency_s.ci95
        if score.ci95 is not None and latency is not None:
            points[item.label] = (score.ci95, latency)
    return pareto(points)


def _write_page(path: Path, values: Mapping[str, Any], contenders: Mapping[str, Contender]) -> None:
    """One self-contained HTML file, with the images of the prompts that it names."""
    from turbo_lab.report.html.compare import compare_report
    from turbo_lab.report.html.pictures import read_pictures

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
    write_text(path, compare_report(values, pictures), "--html")


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


@click.command("compare", cls=GridCommand)
@html_option
@json_option
@words_argument()
def command(words: tuple[str, ...], html: Path | None, as_json: bool) -> int:
    """Compare a model with baselines, or two variants of one, on the same prompts and seeds.

    \b
    turbo-lab compare model=nano-turbo baselines=nano-sdxl,nano-lcm num_images=64
    turbo-lab compare candidate.dtype=bfloat16
    turbo-lab compare model=nano-turbo baselines=nano-sdxl published=on

    Keys after candidate. and baseline. belong to one side; published=on adds published figures
    in tables of their own.
    """
    files = [] if html is None else [f"--html={html}"]
    return main([*words, *files, *["--json"] * as_json])
