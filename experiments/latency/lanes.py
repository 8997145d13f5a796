"""Measure what the image lane's settings cost: the same calls, each under settings of its own.

    python -m experiments.latency.lanes FILE

Owns the list of settings. All of them run the exact loop of one resident pipeline in interleaved
blocks; what is compared with is torch as it comes, which is what the timing lane times.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.latency.grid import Point, Setup
from experiments.latency.interleaved import interleave
from experiments.latency.results import Figures, Results
from turbo_lab import config
from turbo_lab.errors import TurboLabError
from turbo_lab.execute.worker import Worker, worker_for
from turbo_lab.planning.resolved_sweep import resolve_points
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Cell
from turbo_lab.runtime.failures import cell_failures

PROCESS = "settings of the image lane"
AS_TORCH_COMES = "as torch comes"
Lane = Callable[[], AbstractContextManager[object]]


def lanes(device: str) -> Mapping[str, Lane]:
    """Return the settings by name; the first one is what the others are compared with."""
    from turbo_lab.runtime.determinism import (
        SDPA_BACKENDS,
        attention_order,
        image_lane,
        timing_lane,
    )

    order, math = SDPA_BACKENDS[device], attention_order("math", device)
    assert math is not None
    return {
        AS_TORCH_COMES: partial(timing_lane, "auto", "auto", device),
        "image lane": partial(image_lane, 1, order),
        "image lane, tf32=convolutions": partial(image_lane, 1, order, "convolutions"),
        "image lane, attention=math": partial(image_lane, 1, math),
    }


def points(setup: Setup) -> tuple[Point, ...]:
    """Return the points to measure: the second of a quick run, whose batch is large, else five."""
    return setup.points[1:2] or setup.points if setup.is_quick else setup.points[:5]


def measure(path: Path) -> dict[str, float]:
    """Measure every point that the file lacks, and write it after each.

    Returns how many of a thousand pixels each setting changes at the last point.
    """
    results, worker, changed = Results.read(path), None, dict[str, float]()
    for point in points(results.setup):
        if results.of(PROCESS, point):
            continue
        sweep = resolve_points(config.compose("bench", results.setup.words("exact", point)))
        worker = worker or worker_for(sweep)
        try:
            with cell_failures():
                found, changed = measure_point(results.setup, point, worker, sweep.cells[0])
        except TurboLabError as error:
            found = [Figures(AS_TORCH_COMES, point, PROCESS, error=" ".join(str(error).split()))]
        results = results.with_figures(*found)
        results.write(path)
        print(f"{point}: {'; '.join(map(_summary, found))}", file=sys.stderr, flush=True)
    return changed


def measure_point(
    setup: Setup, point: Point, worker: Worker, cell: Cell
) -> tuple[list[Figures], dict[str, float]]:
    """Prove the exact loop under each setting, then time all of them in interleaved blocks."""
    import torch

    from turbo_lab.runtime.proof import prove
    from turbo_lab.runtime.sampler import Sampler

    torch.set_num_threads(1)
    worker.prepare(cell.recipe)
    exact = worker.resident.exact
    assert exact is not None, "the preset is pipeline=exact"
    sampler = Sampler(exact.pipeline, exact.device, WorkDone(), worker.seams, stages=exact)
    images, peaks, calls = dict[str, np.ndarray](), dict[str, int | None](), dict[str, Any]()

    def call(lane: Lane) -> np.ndarray:
        with lane():
            return sampler.run_alone(cell.batches[0], cell.negative_prompt)

    for name, lane in lanes(setup.device).items():
        with lane():
            prove(exact, cell.batches[0], cell.negative_prompt)
        calls[name] = partial(call, lane)
        images[name], peaks[name] = _with_peak(calls[name], setup.device)
    measured = interleave(calls, point.batch_size, setup.rounds, setup.block_s, device=setup.device)
    base = measured[AS_TORCH_COMES]
    found = []
    for name, one in measured.items():
        ratio, interval = (None, None) if one is base else one.ratio_to(base)
        found.append(
            Figures(
                name,
                point,
                PROCESS,
                mean_s=one.mean_s,
                ci95=one.ci95,
                ratio=ratio,
                ratio_ci95=interval,
                peak_memory_bytes=peaks[name],
                blocks_s=one.blocks_s,
                warnings=exact.notes(),
            )
        )
    reference = images[AS_TORCH_COMES]
    changed = {
        name: round(1e3 * float((own != reference).mean()), 3) for name, own in images.items()
    }
    return found, changed


def _with_peak(call: Callable[[], np.ndarray], device: str) -> tuple[np.ndarray, int | None]:
    """Return the images of a call and the memory that it takes at its peak; a CPU: ``None``."""
    if device != "cuda":
        return call(), None
    import torch

    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return call(), torch.cuda.max_memory_allocated() - before


def _summary(one: Figures) -> str:
    if one.mean_s is None:
        return f"failed: {one.error}"
    ratio = "" if one.ratio is None else f" ({one.ratio:.2f})"
    return f"{one.pipeline} {one.mean_s * 1e3:.4g} ms{ratio}"


if __name__ == "__main__":
    print(json.dumps({"changed_per_mille": measure(Path(sys.argv[1]))}))
