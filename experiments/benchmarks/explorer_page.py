"""A sweep's page with many images: its size, how soon it is there, and how fast its filter is.

    python -m experiments.benchmarks.explorer_page [--cells 300] [--images 16] [--rounds 3]

A small sweep of the nano family is drawn in a folder of its own; its cells are repeated under
other guidance scales, their images shifted so that no two are equal, until there are as many as
asked for. Headless Chromium opens the page from a server on this machine, in a window of 1280x800.
The page reports the browser's own clock: from the request to the first contentful paint and to
two frames after the load event, and from a key press in the filter to two frames later, the
median of five filters. Prints one Markdown row.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.benchmarks.golden_page import opened, spread
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.images import encode_png, read_png
from turbo_lab.report.html.explorer import Shown
from turbo_lab.report.html.pictures import read_pictures
from turbo_lab.report.html.sweep import sweep_report
from turbo_lab.workflows.sweep_report import cell_details, find_sweep, read_sweep

MEASURES = ("painted", "drawn", "filtered")
REPORTING = """<script>
const next = () => new Promise((done) => requestAnimationFrame(done));
const frames = () => next().then(next);
addEventListener("load", async () => {
  await frames();
  const drawn = performance.now();
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  const words = document.querySelector("#filter input");
  const took = [];
  for (const text of ["red", "guidance=1.5", "apple steps=2", "", "zebra"]) {
    const began = performance.now();
    words.value = text;
    words.dispatchEvent(new Event("input", { bubbles: true }));
    await frames();
    took.push(performance.now() - began);
  }
  const filtered = took.sort((a, b) => a - b)[2];
  parent.postMessage({ painted: paint?.startTime ?? drawn, drawn, filtered }, "*");
});</script>"""


def small_sweep(folder: Path, images: int) -> SweepResult:
    """Return a real sweep of 12 cells."""
    words = ["num_inference_steps=1,2,3", "guidance_scale=0,1.5,2,3", f"num_images={images}"]
    plain = ["num_threads=1", "timing=short", "tracking=none", "metrics.names=clip_score"]
    command = [sys.executable, "-m", "turbo_lab.cli", "sweep", *words, *plain]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    (found,) = (folder / "turbo-lab-store" / "sweeps").glob("*")
    return read_sweep(find_sweep(str(found), None), None)


def repeated(sweep: SweepResult, number: int, folder: Path) -> SweepResult:
    """Return a sweep of ``number`` cells: those of ``sweep`` by turns, with shifted images."""
    cells = [_shifted(sweep.cells, index, folder) for index in range(number)]
    counts = replace(sweep.counts, requested=number, distinct=number, done=number)
    return replace(sweep, cells=tuple(cells), counts=counts)


def _shifted(cells: Sequence[CellResult], index: int, folder: Path) -> CellResult:
    cell, turn = cells[index % len(cells)], index // len(cells)
    guidance = float(str(cell.axes["guidance_scale"])) + 10 * turn
    images = []
    for place, image in enumerate(cell.images):
        path = folder / f"{index}-{place}.png"
        pixels, _ = read_png(image.path)
        path.write_bytes(encode_png(np.roll(pixels, 3 * turn, axis=1), {}))
        images.append(replace(image, path=path))
    axes = {**cell.axes, "guidance_scale": guidance}
    return replace(cell, cell_id=f"{index:064x}", axes=axes, images=tuple(images))


def main() -> None:
    """Print one Markdown row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="keep the page in this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sweep = repeated(small_sweep(folder, options.images), options.cells, folder)
        paths = [image.path for cell in sweep.cells for image in cell.images]
        began = time.perf_counter()
        page = sweep_report(sweep, Shown(cell_details(sweep), read_pictures(paths)))
        built = time.perf_counter() - began
    if options.keep:
        options.keep.write_text(page, encoding="utf-8")
    whole = page.replace("<head>", f"<head>{REPORTING}", 1).encode()
    rounds = [opened(whole) for _ in range(options.rounds)]
    print("| cells | images | page, MB | built, s | first paint, s | drawn, s | filter, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    first, drawn = (spread(rounds, measure) for measure in MEASURES[:2])
    filtered = statistics.median(one["filtered"] for one in rounds)
    sizes = f"{options.cells} | {len(paths)} | {len(page) / 1e6:.1f} | {built:.1f}"
    print(f"| {sizes} | {first} | {drawn} | {filtered:.0f} |")


if __name__ == "__main__":
    main()
