"""Planning 1,000, 10,000 and 100,000 cells: seconds and memory, from the command line.

    python -m experiments.benchmarks.plan_scaling [--cells 1000 10000 100000] [--images 16]

Each plan is a process of its own, so that start-up is in its time and its
peak of memory is its own. Prints one Markdown row a size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_STEPS, _GUIDANCE = 10, 10


def plan(cells: int, images: int) -> tuple[float, float, int, int]:
    """Seconds, CPU seconds, peak memory in bytes and distinct cells of one ``turbo-lab plan``."""
    seeds = cells // (_STEPS * _GUIDANCE)
    guidance = ",".join(f"{1 + 0.5 * step}" for step in range(_GUIDANCE))
    command = [
        sys.executable,
        "-m",
        "turbo_lab.cli",
        "plan",
        "--json",
        f"num_inference_steps=range(1,{_STEPS + 1})",
        f"guidance_scale={guidance}",
        f"seed=range(0,{seeds})",
        f"num_images={images}",
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with tempfile.TemporaryDirectory() as folder, Path(folder, "plan.json").open("w+b") as out:
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=out, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - began
        if status != 0:
            raise SystemExit(f"turbo-lab plan ended with status {status}")
        out.seek(0)
        counts = json.load(out)["counts"]
    assert counts["requested"] == cells
    return wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, counts["distinct"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--images", type=int, default=16)
    options = parser.parse_args()
    print("| cells | distinct | seconds | of one CPU | ms a cell | peak memory MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for cells in options.cells:
        wall_s, cpu_s, peak_bytes, distinct = plan(cells, options.images)
        print(
            f"| {cells} | {distinct} | {wall_s:.1f} | {cpu_s:.1f} | {cpu_s / cells * 1e3:.2f} "
            f"| {peak_bytes / 1e6:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
