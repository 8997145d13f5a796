"""The results as a page of Markdown: the table, what else was checked, and published figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from experiments.latency import lanes
from experiments.latency.floor import floor_s
from experiments.latency.results import Figures, Interval, Results, Step
from turbo_lab.compare.published import published

STAGES = ("text", "unet", "vae", "post", "other")
PROTOCOL = "sdxl-turbo-latency"
_HEADS = (
    "size",
    "batch",
    "steps",
    "pipeline",
    "ms per call (95%)",
    "of stock (95%)",
    *STAGES,
    "images/s",
    "J/image (95%)",
    "peak MiB",
    "first call s",
)


def page(results: Results) -> str:
    """Return the whole page."""
    parts = [
        f"# Latency of {results.setup.model}",
        _where(results),
        figures_table(results),
        lanes_table(results),
        _failures(results.figures),
        _warnings(results.figures),
        _floors(results),
        _steps(results.steps.items()),
        "## Published",
        published_table(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def figures_table(results: Results) -> str:
    """Return one row per pipeline and point, in the order of points."""
    measured = [
        one for one in results.figures if one.mean_s is not None and one.process != lanes.PROCESS
    ]
    if not measured:
        return "not measured"
    order = {point: index for index, point in enumerate(dict.fromkeys(f.point for f in measured))}
    rows = [_row(one) for one in sorted(measured, key=lambda one: order[one.point])]
    return _table(_HEADS, rows)


def lanes_table(results: Results) -> str:
    """Return what each setting of the image lane costs; empty if nothing was measured."""
    heads = (
        "size",
        "batch",
        "steps",
        "setting",
        "ms per call (95%)",
        f"of `{lanes.AS_TORCH_COMES}` (95%)",
        "MiB of a call",
    )
    rows = [
        (
            one.point.resolution,
            str(one.point.batch_size),
            str(one.point.num_inference_steps),
            one.pipeline,
            f"{one.mean_s * 1e3:.4g}{_interval(one.ci95, 1e3)}",
            "1" if one.ratio is None else f"{one.ratio:.3f}{_interval(one.ratio_ci95)}",
            "-" if one.peak_memory_bytes is None else f"{one.peak_memory_bytes / 2**20:.0f}",
        )
        for one in results.figures
        if one.process == lanes.PROCESS and one.mean_s is not None
    ]
    return "## Cost of the image lane's settings\n\n" + _table(heads, rows) if rows else ""


def published_table() -> str:
    """Return the published latencies of SDXL-Turbo; none has an interval."""
    heads = ("hardware", "way", "steps", "seconds per call", "publication")
    rows = [
        (row.hardware, row.other, row.num_inference_steps, row.latency_s, row.publication)
        for row in published()
        if row.protocol == PROTOCOL
    ]
    return _table(heads, rows)


def _row(one: Figures) -> tuple[str, ...]:
    assert one.mean_s is not None
    point, stages = one.point, one.stages_s or {}
    joules = "-" if one.joules_per_image is None else f"{one.joules_per_image:.3g}"
    peak = one.peak_memory_bytes
    return (
        point.resolution,
        str(point.batch_size),
        str(point.num_inference_steps),
        one.pipeline,
        f"{one.mean_s * 1e3:.4g}{_interval(one.ci95, 1e3)}",
        "1" if one.ratio is None else f"{one.ratio:.3f}{_interval(one.ratio_ci95)}",
        *(f"{stages[name] * 1e3:.3g}" if name in stages else "-" for name in STAGES),
        f"{point.batch_size / one.mean_s:.3g}",
        joules + _interval(one.joules_ci95) + (" by power" if one.energy_method == "power" else ""),
        "-" if peak is None else f"{peak / 2**20:.0f}",
        "-" if one.first_call_s is None else f"{one.first_call_s:.3g}",
    )


def _interval(bounds: Interval | None, scale: float = 1.0) -> str:
    return "" if bounds is None else f" ({bounds[0] * scale:.4g} to {bounds[1] * scale:.4g})"


def _where(results: Results) -> str:
    keys, options = results.fingerprint["keys"], results.fingerprint["options"]
    named = ("device_model", "torch", "cuda", "cudnn", "diffusers", "transformers")
    facts = [f"{name} {keys[name]}" for name in named if name in keys]
    facts += [f"{name} {options[name]}" for name in ("driver", "host") if name in options]
    kind = "quick" if results.setup.is_quick else "full"
    return f"{results.setup.dtype}, no guidance, {kind} run; {', '.join(facts)}."


def _failures(figures: Sequence[Figures]) -> str:
    lines = [f"- {one.point}, {one.pipeline}: {one.error}" for one in figures if one.error]
    return "\n".join(["Not measured:", *lines]) if lines else ""


def _warnings(figures: Sequence[Figures]) -> str:
    """Return what a reader must know of figures, each text once with where it applies."""
    places: dict[str, list[str]] = {}
    for one in figures:
        for text in one.warnings:
            places.setdefault(text, []).append(f"{one.point}, {one.pipeline}")
    lines = [f"- {text} ({'; '.join(where)})" for text, where in places.items()]
    return "\n".join(["Warnings:", *lines]) if lines else ""


def _floors(results: Results) -> str:
    gpu = str(results.fingerprint["keys"].get("device_model", ""))
    points = dict.fromkeys(one.point for one in results.figures)
    known = [(point, floor) for point in points if (floor := floor_s(point, gpu)) is not None]
    if not known:
        return ""
    rows = [(str(point), f"{1e3 * floor:.3g}") for point, floor in known]
    return "## Floor by arithmetic\n\n" + _table(("point", "ms per call at the card's peak"), rows)


def _steps(steps: Iterable[tuple[str, Step]]) -> str:
    rows = [(name, step.status, f"{step.wall_s:.0f}", _detail(step)) for name, step in steps]
    return "## Steps\n\n" + _table(("step", "status", "s", "found"), rows) if rows else ""


def _detail(step: Step) -> str:
    shown = []
    for name, value in step.detail.items():
        if name == "findings":
            shown += [f"{row['name']}: {row['detail']}" for row in value if row["status"] != "note"]
        elif name == "cells":
            shown += [
                f"{cell['pipeline']}, batch {cell['batch_size']}: {cell['latency_s'] * 1e3:.4g} ms"
                for cell in value
            ]
        else:
            shown.append(f"{name} {value}")
    return "; ".join(shown)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)


def _escaped(text: str) -> str:
    return str(text).replace("|", "\\|")
