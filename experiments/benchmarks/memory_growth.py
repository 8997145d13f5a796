"""Memory of a running sweep by the number of cells that it has committed.

    python -m experiments.benchmarks.memory_growth [--cells 1000] [--share exact]

A real sweep with a grid of seeds, one image a cell, watched from outside.
Prints the resident set at each tenth, and what was added after the first.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def resident_bytes(pid: int) -> int:
    """VmRSS of a process; 0 once it has ended."""
    path = Path(f"/proc/{pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", path.read_text()) if path.exists() else None
    return 1024 * int(found.group(1)) if found else 0


def watch(command: list[str], folder: Path) -> list[tuple[int, int]]:
    """(cells committed, resident bytes) once a tenth of a second while the sweep runs."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    seen = []
    with Path(folder, "errors").open("wb") as errors:
        child = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        while child.poll() is None:
            committed = len(list((folder / "turbo-lab-store" / "records").glob("*/*.json")))
            seen.append((committed, resident_bytes(child.pid)))
            time.sleep(0.1)
    if child.returncode != 0:
        raise SystemExit(Path(folder, "errors").read_text())
    return [(cells, size) for cells, size in seen if cells and size]


def main() -> None:
    """Watch one sweep, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--share", default="exact")
    parser.add_argument("--num-threads", type=int, default=2)
    options = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "turbo_lab.cli",
        "sweep",
        f"seed=range(0,{options.cells // 2})",
        "num_inference_steps=1,2",
        "num_images=1",
        "metrics=none",
        "timing=off",
        "tracking=none",
        f"share={options.share}",
        f"num_threads={options.num_threads}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        seen = watch(command, Path(folder))
    print("| cells committed | resident MB |\n| --- | --- |")
    tenths = []
    for tenth in range(1, 11):
        wanted = options.cells * tenth // 10
        near = min(seen, key=lambda point: abs(point[0] - wanted))
        tenths.append(near[1] / 1e6)
        print(f"| {near[0]} | {tenths[-1]:.0f} |")
    print(f"\nAfter the first tenth: {tenths[-2] - tenths[0]:+.1f} MB in {options.cells} cells.")


if __name__ == "__main__":
    main()
