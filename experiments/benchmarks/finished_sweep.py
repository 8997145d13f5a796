"""The same command again on a finished sweep of 1,000 cells: seconds, and what was imported.

    python -m experiments.benchmarks.finished_sweep [--cells 1000] [--rounds 3]

The store is filled through its own interface with grey images, and the sweep's
document and its mark of projection are written by the first re-run with
``tracking=local``; the following ones are timed. Prints one Markdown row a
variant.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from turbo_lab import config
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.request.parameters import Parameters
from turbo_lab.store.encode import DrawnBatch, encode_batch
from turbo_lab.store.provenance import Provenance
from turbo_lab.store.record import CellStatus, Exactness, Record
from turbo_lab.store.store import Store, record_id, reuse_key

_IMAGES = 2
# Run in the timed process: what it says of itself goes to standard error at its end.
_CODE = """
import sys
from turbo_lab.cli.main import main
code = main(sys.argv[1:])
print("imported:", *[m for m in ("torch", "diffusers", "mlflow") if m in sys.modules],
      file=sys.stderr)
sys.exit(code)
"""


def grid(cells: int) -> list[str]:
    """Overrides of a sweep of that many distinct cells, without metrics and timing."""
    return [
        "num_inference_steps=range(1,11)",
        f"seed=range(0,{cells // 10})",
        f"num_images={_IMAGES}",
        "metrics=none",
        "timing=off",
        "num_threads=1",
    ]


def fill(store: Store, sweep: ResolvedSweep) -> None:
    """Batches and records of every cell, with grey images."""
    keys = sweep.fingerprint.keys
    for cell in sweep.cells:
        names = []
        for batch in cell.batches:
            names.append(reuse_key(batch.batch_id, keys, Exactness.EXACT))
            size = (cell.recipe.height, cell.recipe.width, 3)
            pixels = np.full((len(batch.layout.seeds), *size), 128, np.uint8)
            store.commit_batch(*encode_batch(DrawnBatch(batch, Exactness.EXACT, keys, pixels)))
        store.write_record(
            Record(
                record_id=record_id(cell.cell_id, keys, Exactness.EXACT),
                cell_id=cell.cell_id,
                status=CellStatus.DONE,
                error=None,
                exactness=Exactness.EXACT,
                recipe=cell.recipe,
                parameters=Parameters.of(cell),
                batches=tuple(names),
                fingerprint=sweep.fingerprint,
                provenance=Provenance({}, {}, {}, git=None),
            )
        )


def resolved(overrides: list[str]) -> ResolvedSweep:
    """Return the grid as the command line gives it."""
    return resolve_points(config.compose("plan", overrides))


def rerun(folder: Path, overrides: list[str]) -> tuple[float, float, str]:
    """Seconds of the whole command, CPU seconds, and the heavy packages that it imported."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _CODE, "sweep", "--json", *overrides]
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    wall_s, after = time.perf_counter() - began, os.times()
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    imported = done.stderr.strip().splitlines()[-1].removeprefix("imported:").strip()
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    return wall_s, cpu_s, imported or "nothing"


def main() -> None:
    """Fill, run once, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = grid(options.cells)
        fill(Store(folder / "turbo-lab-store"), resolved(overrides))
        print("| re-run of a finished sweep | seconds | of one CPU | imported |")
        print("| --- | --- | --- | --- |")
        for label, more in (
            ("`tracking=none`", ["tracking=none"]),
            ("`tracking=local`, first projection", []),
            ("`tracking=local`, nothing new", []),
        ):
            rounds = 1 if "first" in label else options.rounds
            timed = [rerun(folder, [*overrides, *more]) for _ in range(rounds)]
            seconds = ", ".join(f"{wall_s:.2f}" for wall_s, _, _ in timed)
            cpu = ", ".join(f"{cpu_s:.2f}" for _, cpu_s, _ in timed)
            print(f"| {label} | {seconds} | {cpu} | {timed[-1][2]} |", flush=True)


if __name__ == "__main__":
    main()
