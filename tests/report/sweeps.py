"""Sweeps of any size, with their details in a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.report.results import cell_result, sweep_result, with_metric
from turbo_lab.documents.sweep import ImageFile, SweepCounts, SweepResult
from turbo_lab.environment import Fingerprint
from turbo_lab.images import encode_png
from turbo_lab.report.columns import CellDetails
from turbo_lab.report.html.explorer import Shown
from turbo_lab.report.html.pictures import read_pictures

NASTY = '</script><img src=x onerror="errors.push(\'prompt ran\')"> & "quotes"'
Page = tuple[SweepResult, Shown]


def details_of(sweep: SweepResult) -> dict[str, CellDetails]:
    """Return four scores per image and six calls per cell."""
    return {
        cell.record_id: CellDetails(
            per_image={"clip_score": (0.5, 0.6, 0.7, 0.1 * index)},
            samples_s=tuple(0.1 * (index + 1) + 0.001 * call for call in range(6)),
            fingerprint=Fingerprint({"torch": "2.15.0", "isa": NASTY}, {"os": "Linux"}),
        )
        for index, cell in enumerate(sweep.cells)
        if not cell.is_failed
    }


def sweep_with_details(folder: Path) -> Page:
    """Return four cells, one of them failed; an interval of latency; a prompt with markup."""
    sweep, cells = sweep_result(folder), []
    for index, cell in enumerate(sweep.cells):
        if cell.latency_s is not None:
            middle = cell.latency_s.p50
            timed = replace(cell.latency_s, ci95=(middle - 0.01, middle + 0.01))
            bounds = (0.45 + 0.1 * index, 0.55 + 0.1 * index)
            cell = replace(with_metric(cell, "clip_score", ci95=bounds), latency_s=timed)
        first = tuple(replace(image, prompt=NASTY) for image in cell.images[:1])
        cells.append(replace(cell, images=(*first, *cell.images[1:])))
    return _page(replace(sweep, cells=tuple(cells)))


def large_sweep(folder: Path, num_cells: int) -> Page:
    """Return a grid of steps by guidance with four images per cell, each of them noise."""
    draws = np.random.default_rng(0)
    cells = []
    for index in range(num_cells):
        steps, guidance = 1 + index % 10, index // 10 / 4
        cell = cell_result(index, {"num_inference_steps": steps, "guidance_scale": guidance}, None)
        images = []
        for number in range(4):
            path = folder / f"{index}-{number}.png"
            pixels = draws.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            path.write_bytes(encode_png(pixels, {"parameters": "long text " * 40}))
            images.append(ImageFile(path, "0" * 64, number, f"p{number}"))
        cells.append(replace(cell, images=tuple(images)))
    counts = SweepCounts(num_cells, num_cells, reused=0, done=num_cells, failed=0)
    return _page(replace(sweep_result(None), cells=tuple(cells), counts=counts))


def _page(sweep: SweepResult) -> Page:
    paths = [image.path for cell in sweep.cells for image in cell.images]
    return sweep, Shown(details_of(sweep), read_pictures(paths))
