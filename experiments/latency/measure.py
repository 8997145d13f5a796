"""Measure pipelines of one model against each other, in one process; writes after every point.

    python -m experiments.latency.measure FILE NAME PIPELINE [PIPELINE ...]

Owns loading each pipeline once and what is read from it. The script starts this module as a
process of its own, so that a compilation that does not end can be ended.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.latency.grid import Point, Setup
from experiments.latency.interleaved import Call, Measured, interleave
from experiments.latency.results import Figures, Results
from turbo_lab import config
from turbo_lab.errors import TurboLabError
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.execute.worker import Worker
from turbo_lab.planning.resolved_sweep import resolve_points
from turbo_lab.runtime.failures import cell_failures
from turbo_lab.store.record import Timing

AGAIN = "stock again"


@dataclass
class Subject:
    """One pipeline of the model, resident in this process."""

    worker: Worker
    """Worker that holds it."""
    own_bytes: int = field(default=0)
    """Device memory that its weights and pools hold."""


def measure(path: Path, process: str, pipelines: Sequence[str]) -> None:
    """Measure every point that the file lacks, and write it after each."""
    results = Results.read(path)
    subjects: dict[str, Subject] = {}
    for point in results.setup.points:
        if results.of(process, point):
            continue
        found = measure_point(results.setup, point, process, pipelines, subjects)
        results = results.with_figures(*found)
        results.write(path)
        print(f"{point}: {'; '.join(map(summary, found))}", file=sys.stderr, flush=True)


def measure_point(
    setup: Setup,
    point: Point,
    process: str,
    pipelines: Sequence[str],
    subjects: dict[str, Subject],
) -> list[Figures]:
    """Time each pipeline alone (stages, memory, first call), then all of them interleaved."""
    calls: dict[str, Call] = {}
    timings: dict[str, Timing] = {}
    failed: list[Figures] = []
    for name in pipelines:
        try:
            calls[name], timings[name] = _prepare(setup, point, name, subjects)
        except TurboLabError as error:
            text = " ".join(str(error).split())
            failed.append(Figures(name, point, process, error=text))
            _release(setup.device)
    if "stock" in calls and not setup.is_quick:
        calls[AGAIN] = calls["stock"]
    try:
        with cell_failures():
            measured = _interleaved(setup, point, calls)
    except TurboLabError as error:
        text = " ".join(str(error).split())
        return [*failed, *(Figures(name, point, process, error=text) for name in calls)]
    found = []
    for name, one in measured.items():
        base = measured.get("stock")
        ratio = None if base is None or name == "stock" else one.ratio_to(base)
        timing = timings.get(name)
        load_s = subjects[name].worker.resident.load_s if name in subjects else None
        found.append(_figures(Figures(name, point, process, load_s=load_s), one, ratio, timing))
    return [*found, *failed]


def _prepare(
    setup: Setup, point: Point, name: str, subjects: dict[str, Subject]
) -> tuple[Call, Timing]:
    """Make one pipeline ready for a point and time it alone."""
    sweep = resolve_points(config.compose("bench", setup.words(name, point)))
    cell = sweep.cells[0]
    if name not in subjects:
        resident = ResidentPipeline(Weights.of(sweep.library), sweep.device)
        subjects[name] = Subject(Worker(resident, sweep.options.num_threads))
    subject = subjects[name]
    before = _allocated(setup.device)
    subject.worker.prepare(cell.recipe)
    subject.own_bytes += _allocated(setup.device) - before
    before = _allocated(setup.device)
    timing = subject.worker.time_cell(cell, "short", sweep.fingerprint)
    others = before - subject.own_bytes
    subject.own_bytes += _allocated(setup.device) - before
    call = subject.worker.timed_call(cell)
    return call, _without(timing, others)


def _without(timing: Timing, others_bytes: int) -> Timing:
    """Return the timing with a peak that leaves out what other pipelines hold."""
    if timing.peaks_bytes is None or timing.peaks_bytes["allocated"] is None:
        return timing
    return replace(timing, peak_memory_bytes=timing.peak_memory_bytes - others_bytes)


def _interleaved(setup: Setup, point: Point, calls: dict[str, Call]) -> dict[str, Measured]:
    import torch

    from turbo_lab.runtime.energy import open_meter

    torch.set_num_threads(1)
    return interleave(
        calls,
        images_per_call=point.batch_size,
        rounds=setup.rounds,
        block_s=setup.block_s,
        device=setup.device,
        meter=open_meter(setup.device),
    )


def _figures(
    begun: Figures,
    measured: Measured,
    ratio: tuple[float, tuple[float, float] | None] | None,
    timing: Timing | None,
) -> Figures:
    energy = measured.energy
    return replace(
        begun,
        mean_s=measured.mean_s,
        ci95=measured.ci95,
        ratio=None if ratio is None else ratio[0],
        ratio_ci95=None if ratio is None else ratio[1],
        stages_s=None if timing is None else timing.stages_s,
        peak_memory_bytes=None if timing is None else timing.peak_memory_bytes,
        joules_per_image=None if energy is None else energy.joules_per_image,
        joules_ci95=None if energy is None else energy.ci95,
        energy_method=None if energy is None else energy.method,
        first_call_s=None if timing is None else timing.first_call_s,
        blocks_s=measured.blocks_s,
        warnings=() if timing is None else timing.warnings,
    )


def summary(one: Figures) -> str:
    """Return one pipeline's figures in a few words."""
    if one.mean_s is None:
        return f"{one.pipeline} failed: {one.error}"
    ratio = "" if one.ratio is None else f" ({one.ratio:.2f} of stock)"
    return f"{one.pipeline} {one.mean_s * 1e3:.4g} ms{ratio}"


def _allocated(device: str) -> int:
    if device != "cuda":
        return 0
    import torch

    return int(torch.cuda.memory_allocated())


def _release(device: str) -> None:
    """Return the memory of a failed attempt, so that the next one has room."""
    if device == "cuda":
        from turbo_lab.runtime.memory import release

        release()


if __name__ == "__main__":
    measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
